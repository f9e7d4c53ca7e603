// Which kernels GroupQueryAttention takes for a new token on a GPU, where it shares its caches.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gpu/render.h"
#include "shape_plan.h"
#include "tint.h"

namespace daybreak {
namespace {

struct Token {
  int64_t heads, kv_heads, head;
  int32_t keys;
  int64_t batch = 1, seq = 1, bits = 0;
  DType type = DType::kF16;
};

struct TokenPlan : ShapePlan {
  TokenPlan() : ShapePlan(NvidiaGpu()) {}
  const Tensor* Out(size_t i, const Shape& shape) override {
    return i < 3 ? ShapePlan::Out(i, shape) : nullptr;
  }
};

// Names of the shaders, all of which compile where there is tint.
std::vector<std::string> Shaders(const Token& t) {
  TokenPlan plan;
  plan.options["kvCacheQuantizationBits"] = t.bits;
  plan.Add(t.type, {t.batch, t.seq, t.heads * t.head});
  for (int i = 0; i < 2; ++i) plan.Add(t.type, {t.batch, t.seq, t.kv_heads * t.head});
  const int64_t row = t.bits == 0 ? t.head : (t.head * t.bits + 32) / 16;
  for (int i = 0; i < 2; ++i) plan.Add(t.type, {t.batch, t.kv_heads, t.keys, row});
  plan.Add(DType::kI32, {t.batch});
  const Tensor total{.type = DType::kI32, .shape = {1}, .host = &t.keys};
  plan.inputs.push_back(&total);
  for (int i = 0; i < 2; ++i) plan.Add(t.type, {8192, t.head / 2});
  plan.attrs.Set("num_heads", t.heads);
  plan.attrs.Set("kv_num_heads", t.kv_heads);
  plan.attrs.Set("do_rotary", int64_t{1});
  RunRow("GroupQueryAttention", plan);
  std::vector<std::string> names;
  for (const Dispatch& d : plan.dispatches) {
    EXPECT_EQ(HasTint() ? TintErrors(Render(d)) : "", "");
    names.push_back(d.shader);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(Decode, ATokenOfFewKeysTakesAWorkgroupForHalfAHead) {
  for (const int64_t head : {16, 64, 128, 256})
    EXPECT_EQ(Shaders({32, 8, head, 512}), Names{"attention_row"}) << head;
  EXPECT_EQ(Shaders({9, 3, 64, 2048}), Names{"attention_row"});
}

TEST(Decode, OtherTokensShareLoadsOfKeys) {
  const Names decode{"attention_decode"};
  EXPECT_EQ(Shaders({.heads = 32, .kv_heads = 8, .head = 96, .keys = 512}), decode) << "not a power of two";
  EXPECT_EQ(Shaders({.heads = 32, .kv_heads = 8, .head = 64, .keys = 512, .batch = 8}), decode)
      << "more workgroups than cores";
  EXPECT_EQ(Shaders({.heads = 32, .kv_heads = 8, .head = 64, .keys = 512, .type = DType::kF32}), decode);
  EXPECT_EQ(Shaders({.heads = 32, .kv_heads = 8, .head = 64, .keys = 512, .bits = 8}), decode);
}

TEST(Decode, ManyKeysAreSharedOut) {
  EXPECT_EQ(Shaders({32, 8, 128, 2048}), (Names{"attention_decode", "attention_merge"}));
}

}  // namespace
}  // namespace daybreak
