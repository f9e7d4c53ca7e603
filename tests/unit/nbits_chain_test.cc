// When a decoder layer's products take one dispatch, and that it compiles for sizes and formats that models
// have.
#include <gtest/gtest.h>

#include <string>

#include "gpu/render.h"
#include "shape_plan.h"
#include "tint.h"

namespace daybreak {
namespace {

struct Layer {
  int64_t k = 2048, hidden = 2048, inner = 8192, n = 2048, rows = 1, bits = 4, block = 32;
  DType type = DType::kF16;
};

// The shaders that a layer takes.
std::vector<std::string> Shaders(const Layer& l, const DeviceInfo& device = NvidiaGpu()) {
  ShapePlan plan(device);
  plan.outputs = 2;
  plan.out_type = l.type;
  plan.Add(l.type, {1, l.rows, l.k});
  plan.Add(l.type, {1, l.rows, l.hidden});
  plan.Add(l.type, {l.hidden});
  const int64_t shapes[][2] = {{l.hidden, l.k}, {l.inner, l.hidden}, {l.inner, l.hidden}, {l.n, l.inner}};
  for (const auto& [n, k] : shapes) {
    const int64_t blocks = CeilDiv(k, l.block);
    plan.Add(DType::kU8, {n, blocks, l.block * l.bits / 8});
    plan.Add(l.type, {n, blocks});
  }
  plan.attrs.Set("K", l.k);
  plan.attrs.Set("N", std::vector<int64_t>{l.hidden, l.inner, l.n});
  plan.attrs.Set("bits", l.bits);
  plan.attrs.Set("block_size", l.block);
  plan.attrs.Set("epsilon", 1e-5f);
  RunRow("MatMulNBitsChain", plan);
  std::vector<std::string> shaders;
  for (const Dispatch& d : plan.dispatches) {
    shaders.emplace_back(d.shader);
    if (HasTint()) {
      EXPECT_EQ(TintErrors(Render(d)), "");
    }
  }
  return shaders;
}

const std::vector<std::string> kOne = {"matmul_nbits_chain"};

TEST(NbitsChain, OneRowTakesOneDispatch) {
  EXPECT_EQ(Shaders({}), kOne);
  EXPECT_EQ(Shaders({.k = 576, .hidden = 576, .inner = 1536, .n = 576}), kOne);
  EXPECT_EQ(Shaders({.k = 3072, .hidden = 3072, .n = 3072}), kOne);
  EXPECT_EQ(Shaders({.k = 4096, .hidden = 4096, .inner = 14336, .n = 4096}), kOne);
  EXPECT_EQ(Shaders({.bits = 8}), kOne);
  EXPECT_EQ(Shaders({.block = 128}), kOne);
  EXPECT_EQ(Shaders({.block = 16}), kOne);
  EXPECT_EQ(Shaders({.n = 77}), kOne);
}

TEST(NbitsChain, OthersTakeOneForEachStep) {
  for (const Layer& l : {Layer{.rows = 2}, Layer{.rows = 8}, Layer{.bits = 2}, Layer{.k = 2056},
                         Layer{.hidden = 2040}, Layer{.inner = 8200}, Layer{.k = 2080, .block = 64},
                         Layer{.inner = 32768}, Layer{.type = DType::kF32}}) {
    const std::vector<std::string> shaders = Shaders(l);
    EXPECT_EQ(shaders.size(), 3u);
    EXPECT_NE(shaders, kOne);
  }
}

TEST(NbitsChain, DevicesOfWhichNothingIsKnownTakeOneForEachStep) {
  for (const DeviceClass c :
       {DeviceClass::kAmd, DeviceClass::kIntel, DeviceClass::kApple, DeviceClass::kOther}) {
    DeviceInfo device = NvidiaGpu();
    device.device_class = c;
    EXPECT_EQ(Shaders({}, device).size(), 3u);
  }
  DeviceInfo few = NvidiaGpu();
  few.max_storage_buffers = 13;
  EXPECT_EQ(Shaders({}, few).size(), 3u);
  few.max_storage_buffers = 14;
  EXPECT_EQ(Shaders({}, few), kOne);
}

TEST(NbitsChain, AnEmptyRunTakesNone) { EXPECT_TRUE(Shaders({.rows = 0}).empty()); }

}  // namespace
}  // namespace daybreak
