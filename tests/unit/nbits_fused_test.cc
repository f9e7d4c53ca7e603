// How many dispatches the fused products of quantised weights take on devices that bind few or many tensors.
#include <gtest/gtest.h>

#include <string>

#include "gpu/render.h"
#include "shape_plan.h"
#include "tint.h"

namespace daybreak {
namespace {

constexpr int64_t kK = 256, kBlocks = kK / 32;

DeviceInfo Gpu(uint32_t storage_buffers) {
  DeviceInfo info = NvidiaGpu();
  info.max_storage_buffers = storage_buffers;
  return info;
}

struct Case {
  uint32_t storage_buffers;
  bool zeros, bias;
  size_t dispatches;
};

// Skip, norm and products of the columns; returns the shaders.
std::vector<std::string> Shaders(const char* op, const Case& c, const std::vector<int64_t>& columns,
                                 int64_t rows, std::vector<int64_t> bits = {}) {
  bits.resize(columns.size(), 4);
  ShapePlan plan(Gpu(c.storage_buffers));
  plan.outputs = std::string_view(op) == "MatMulNBitsGated" ? 2 : 4;
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {1, rows, kK});
  plan.Add(DType::kF16, {kK});
  const auto optional = [&](bool has, const Shape& shape) {
    has ? (void)plan.Add(DType::kF16, shape) : plan.inputs.push_back(nullptr);
  };
  for (size_t i = 0; i < columns.size(); ++i) {
    const int64_t n = columns[i];
    plan.Add(DType::kU8, {n, kBlocks, 4 * bits[i]});
    plan.Add(DType::kF16, {n, kBlocks});
    optional(c.zeros, {n, kBlocks});
    optional(c.bias, {n});
  }
  plan.attrs.Set("K", kK);
  plan.attrs.Set("N", columns);
  plan.attrs.Set("bits", bits);
  plan.attrs.Set("block_size", std::vector<int64_t>(columns.size(), 32));
  plan.attrs.Set("epsilon", 1e-5f);
  RunRow(op, plan);
  std::vector<std::string> shaders;
  for (const Dispatch& d : plan.dispatches) {
    shaders.emplace_back(d.shader);
    EXPECT_LE(d.in.size() + d.out.size(), c.storage_buffers) << d.shader;
    if (HasTint()) {
      EXPECT_EQ(TintErrors(Render(d)), "");
    }
  }
  return shaders;
}

TEST(NbitsFused, GroupsTakeAsFewDispatchesAsTheDeviceBinds) {
  for (const Case& c : {Case{16, false, false, 1},
                        {16, true, false, 1},
                        {16, true, true, 2},
                        {10, false, false, 2},
                        {10, true, true, 3}})
    EXPECT_EQ(Shaders("MatMulNBitsGroup", c, {512, 128, 128}, 1).size(), c.dispatches)
        << c.storage_buffers << " " << c.zeros << c.bias;
}

TEST(NbitsFused, GatesNormaliseFirstWhereTheDeviceBindsFew) {
  for (const Case& c :
       {Case{16, true, true, 1}, {10, false, false, 1}, {10, true, false, 2}, {8, true, false, 2}})
    EXPECT_EQ(Shaders("MatMulNBitsGated", c, {512, 512}, 4).size(), c.dispatches)
        << c.storage_buffers << " " << c.zeros << c.bias;
}

TEST(NbitsFused, ProductsThatDifferInShapeShareWhatTheyCan) {
  EXPECT_EQ(Shaders("MatMulNBitsGroup", {16, false, false, 2}, {512, 128, 64}, 1).size(), 2u);
}

TEST(NbitsFused, ProductsOfOneFormatShareADispatch) {
  for (const int64_t rows : {1, 100})
    EXPECT_EQ(Shaders("MatMulNBitsGroup", {16, false, false, 2}, {512, 128, 128}, rows, {4, 4, 8}).size(),
              rows == 1 ? 2u : 4u);
}

TEST(NbitsFused, ManyRowsTakeADispatchForEachStep) {
  EXPECT_EQ(Shaders("MatMulNBitsGroup", {16, false, false, 4}, {512, 128, 128}, 100).size(), 4u);
  EXPECT_EQ(Shaders("MatMulNBitsGated", {16, false, false, 4}, {512, 512}, 100).size(), 4u);
}

}  // namespace
}  // namespace daybreak
