// Which kernels PagedAttention takes on a GPU, for what the host knows of its sequences.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gpu/render.h"
#include "shape_plan.h"
#include "tint.h"

namespace daybreak {
namespace {

constexpr int64_t kHeads = 32, kKvHeads = 8, kHead = 128, kBlock = 16;

DeviceInfo Gpu() {
  DeviceInfo info = NvidiaGpu();
  info.matrices = {{DType::kF16, DType::kF32, 16, 16, 16}};
  return info;
}

struct Batch {
  int64_t tokens, sequences, blocks;  // blocks of a sequence
  std::vector<int32_t> bounds;        // attention_metadata
  bool slots = false;
};

// The dispatches, all of which compile where there is tint. Their tensors are gone.
std::vector<Dispatch> Planned(const Batch& batch) {
  ShapePlan plan(Gpu());
  plan.Add(DType::kF16, {batch.tokens, kHeads * kHead});
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {batch.tokens, kKvHeads * kHead});
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {4096, kBlock, kKvHeads, kHead});
  plan.Add(DType::kI32, {batch.sequences + 1});
  plan.Add(DType::kI32, {batch.sequences});
  plan.Add(DType::kI32, {batch.sequences, batch.blocks});
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {8192, kHead / 2});
  if (batch.slots) plan.Add(DType::kI32, {batch.tokens});
  plan.inputs.resize(16);
  Tensor bounds{.type = DType::kI32, .shape = {2}, .host = batch.bounds.data()};
  plan.inputs.push_back(batch.bounds.empty() ? nullptr : &bounds);
  plan.attrs.Set("num_heads", kHeads);
  plan.attrs.Set("kv_num_heads", kKvHeads);
  plan.attrs.Set("do_rotary", int64_t{1});
  RunRow("PagedAttention", plan);
  for (const Dispatch& d : plan.dispatches) {
    EXPECT_EQ(HasTint() ? TintErrors(Render(d)) : "", "");
  }
  return plan.dispatches;
}

std::vector<std::string> Shaders(const std::vector<Dispatch>& dispatches) {
  std::vector<std::string> names;
  for (const Dispatch& d : dispatches) names.push_back(d.shader);
  return names;
}

using Names = std::vector<std::string>;

TEST(Paged, SingleTokensOfManySequencesAreOneDispatch) {
  const auto dispatches = Planned({.tokens = 64, .sequences = 64, .blocks = 256});
  EXPECT_EQ(Shaders(dispatches), Names{"attention_decode"});
  EXPECT_EQ(dispatches[0].grid.x, 1) << "sequences and heads fill the device";
  EXPECT_EQ(dispatches[0].grid.y, 64 * kKvHeads) << "a workgroup takes the four heads of a group";
}

TEST(Paged, KeysOfFewSequencesAreSharedOut) {
  const auto dispatches = Planned({.tokens = 2, .sequences = 2, .blocks = 256});
  EXPECT_EQ(Shaders(dispatches), (Names{"attention_decode", "attention_merge"}));
  EXPECT_GT(dispatches[0].grid.x, 8);
}

TEST(Paged, AMappingOfItsOwnIsWrittenFirst) {
  EXPECT_EQ(Shaders(Planned({.tokens = 64, .sequences = 64, .blocks = 256, .slots = true})),
            (Names{"paged_append", "attention_decode"}));
}

TEST(Paged, APromptTakesMatrixUnits) {
  const auto dispatches = Planned({.tokens = 1000, .sequences = 1, .blocks = 64});
  EXPECT_EQ(Shaders(dispatches), (Names{"paged_append", "attention_matrix"}));
  EXPECT_EQ(dispatches[1].grid.x, (1000 * 4 / 64 + 1) * kKvHeads);
}

// Long and short sequences go to a kernel each; which are which, only the device knows.
TEST(Paged, MixturesTakeBothKernels) {
  const auto dispatches = Planned({.tokens = 1063, .sequences = 64, .blocks = 128});
  EXPECT_EQ(Shaders(dispatches), (Names{"paged_append", "attention_decode", "attention_matrix"}));
  EXPECT_EQ(dispatches[1].grid.y, 64 * 8 * kKvHeads) << "tiles for sequences of up to 32 rows";
}

TEST(Paged, BoundsOfTheSchedulerSettleWhatShapesLeaveOpen) {
  EXPECT_EQ(Shaders(Planned({.tokens = 200, .sequences = 50, .blocks = 128, .bounds = {5, 0}})),
            Names{"attention_decode"});
  const auto short_keys = Planned({.tokens = 2, .sequences = 2, .blocks = 256, .bounds = {1, 300}});
  EXPECT_EQ(Shaders(short_keys), Names{"attention_decode"}) << "300 keys are not worth sharing out";
}

}  // namespace
}  // namespace daybreak
