// Kernels of matrix units, planned for a device that has them: CI's software device does not.
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "gpu/render.h"
#include "shape_plan.h"
#include "tint.h"

namespace daybreak {
namespace {

DeviceInfo DeviceWithMatrices(uint32_t m = 16, uint32_t n = 16, uint32_t k = 16) {
  DeviceInfo info = NvidiaGpu();
  info.matrices = {{DType::kF16, DType::kF32, m, n, k}};
  return info;
}

struct MatrixPlan : ShapePlan {
  MatrixPlan() : ShapePlan(DeviceWithMatrices()) {}
};

// The one dispatch of `shader`, which compiles where there is tint.
const Dispatch& Only(const ShapePlan& plan, std::string_view shader) {
  const Dispatch* found = nullptr;
  for (const Dispatch& d : plan.dispatches)
    if (shader == d.shader) found = &d;
  Check(found != nullptr, "no dispatch of ", shader);
  if (HasTint()) {
    EXPECT_EQ(TintErrors(Render(*found)), "");
  }
  return *found;
}

TEST(Matrix, QuantisedProductsOfEveryWidthUseThem) {
  for (const int64_t bits : {2, 4, 8})
    for (const int zeros : {0, 1, 2})
      for (const int64_t m : {9, 512, 2048}) {
        constexpr int64_t kK = 256, kN = 2048;
        MatrixPlan plan;
        plan.Add(DType::kF16, {m, kK});
        plan.Add(DType::kU8, {kN, kK / 32, 4 * bits});
        plan.Add(DType::kF16, {kN, kK / 32});
        if (zeros == 1) plan.Add(DType::kU8, {kN, bits});
        if (zeros == 2) plan.Add(DType::kF16, {kN, kK / 32});
        for (const auto& [name, value] :
             {std::pair{"K", kK}, {"N", kN}, {"bits", bits}, {"block_size", int64_t{32}}})
          plan.attrs.Set(name, value);
        RunRow("MatMulNBits", plan);
        const Dispatch& d = Only(plan, "gemm_matrix");
        EXPECT_EQ(d.grid.x, m == 9     ? 64
                            : m == 512 ? 8 * 16
                                       : 16 * 16)
            << "tiles of 16 x 32, of more rows 64 x 128, of many 128 x 128";
      }
}

// [skip +] norm and the products that share its result are two dispatches, whatever goes with the weights.
TEST(Matrix, FusedProductsAreOneDispatch) {
  for (const bool gated : {false, true})
    for (const int64_t bits : {2, 4, 8})
      for (const auto& [m, n] : std::vector<std::pair<int64_t, int64_t>>{
               {512, 3072}, {2048, 3072}, {512, 1020}}) {  // 1020: not in steps of eight
        constexpr int64_t kK = 256, kBlock = 64;
        MatrixPlan plan;
        plan.Add(DType::kF16, {m, kK});
        plan.inputs.push_back(nullptr);
        plan.Add(DType::kF16, {kK});
        for (int i = 0; i < (gated ? 2 : 3); ++i) {
          const int64_t columns = gated || i == 0 ? n : 520;
          plan.Add(DType::kU8, {columns, kK / kBlock, kBlock / 8 * bits});
          plan.Add(DType::kF16, {columns, kK / kBlock});
          if (gated) plan.Add(DType::kF16, {columns});
        }
        for (const auto& [name, value] : {std::pair{"K", kK},
                                          {"N", n},
                                          {"Nq", n},
                                          {"Nkv", int64_t{520}},
                                          {"bits", bits},
                                          {"block_size", kBlock}})
          plan.attrs.Set(name, value);
        RunRow(gated ? "MatMulNBitsMlp" : "MatMulNBitsQkv", plan);
        const Dispatch& d = Only(plan, "gemm_matrix");
        EXPECT_EQ(plan.dispatches.size(), 2u);
        if (n == 3072) {
          const int64_t rows = gated && m == 512 ? 64 : 128, columns = 128;
          EXPECT_EQ(d.grid.x,
                    m / rows * (gated ? 2 * n / columns : n / columns + 2 * CeilDiv(int64_t{520}, columns)));
        }
      }
}

// Few tiles of a long K become slices, which a second dispatch adds up.
TEST(Matrix, SlicesOfKFillTheDevice) {
  constexpr int64_t kM = 512, kN = 2048, kK = 8192;
  for (const bool quantised : {false, true}) {
    MatrixPlan plan;
    plan.Add(DType::kF16, {kM, kK});
    if (quantised) {
      plan.Add(DType::kU8, {kN, kK / 32, 16});
      plan.Add(DType::kF16, {kN, kK / 32});
      for (const auto& [name, value] :
           {std::pair{"K", kK}, {"N", kN}, {"bits", int64_t{4}}, {"block_size", int64_t{32}}})
        plan.attrs.Set(name, value);
    } else {
      plan.Add(DType::kF16, {kK, kN});
    }
    RunRow(quantised ? "MatMulNBits" : "MatMul", plan);
    EXPECT_EQ(Only(plan, "gemm_matrix").grid.x, 4 * 16 * 4) << "four slices of each tile of 128 x 128";
    EXPECT_EQ(Only(plan, "gemm_matrix_sum").grid.x, kM * kN / 256);
  }
}

TEST(Matrix, EveryShapeOfUnitsCompiles) {
  struct Unit {
    uint32_t m, n, k;
  };
  for (const Unit& unit : {Unit{8, 8, 8}, {8, 16, 16}, {16, 8, 16}, {16, 16, 16}}) {
    ShapePlan plan(DeviceWithMatrices(unit.m, unit.n, unit.k));
    plan.Add(DType::kF16, {512, 256});
    plan.Add(DType::kU8, {2048, 8, 16});
    plan.Add(DType::kF16, {2048, 8});
    for (const auto& [name, value] : {std::pair{"K", int64_t{256}},
                                      {"N", int64_t{2048}},
                                      {"bits", int64_t{4}},
                                      {"block_size", int64_t{32}}})
      plan.attrs.Set(name, value);
    RunRow("MatMulNBits", plan);
    Only(plan, "gemm_matrix");
    ShapePlan dense(DeviceWithMatrices(unit.m, unit.n, unit.k));
    dense.Add(DType::kF16, {512, 256});
    dense.Add(DType::kF16, {256, 2048});
    RunRow("MatMul", dense);
    Only(dense, "gemm_matrix");
  }
}

TEST(Matrix, DenseProductsUseThemForBothOrdersOfB) {
  for (const bool transposed : {false, true}) {
    MatrixPlan plan;
    plan.Add(DType::kF16, {100, 72});
    plan.Add(DType::kF16, transposed ? Shape{136, 72} : Shape{72, 136});
    plan.attrs.Set("transB", int64_t{transposed});
    RunRow("Gemm", plan);
    EXPECT_EQ(Only(plan, "gemm_matrix").grid.x, 2 * 2) << "tiles of 64 x 128";
  }
}

// GroupQueryAttention of a long prompt, whose caches have rows of `row` elements.
void RunPrompt(ShapePlan& plan, int64_t head, int64_t row) {
  constexpr int64_t kSeq = 100, kHeads = 4, kKvHeads = 2;
  const int32_t total = kSeq;
  plan.Add(DType::kF16, {1, kSeq, kHeads * head});
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {1, kSeq, kKvHeads * head});
  for (int i = 0; i < 2; ++i) plan.Add(DType::kF16, {1, kKvHeads, 128, row});
  plan.Add(DType::kI32, {1});
  Tensor length{.type = DType::kI32, .shape = {1}, .host = &total};
  plan.inputs.push_back(&length);
  plan.attrs.Set("num_heads", kHeads);
  plan.attrs.Set("kv_num_heads", kKvHeads);
  RunRow("GroupQueryAttention", plan);
  constexpr int64_t kRows = 32;  // of a workgroup, where 64 would leave cores without one
  EXPECT_EQ(Only(plan, "attention_matrix").grid.x, CeilDiv(kSeq * kHeads / kKvHeads, kRows) * kKvHeads);
}

TEST(Matrix, LongPromptsUseThem) {
  for (const int64_t head : {64, 128}) {
    MatrixPlan plan;
    RunPrompt(plan, head, head);
  }
}

TEST(Matrix, LongPromptsOverQuantisedCachesUseThem) {
  for (const int64_t bits : {4, 8})
    for (const int64_t head : {64, 128}) {
      MatrixPlan plan;
      plan.options["kvCacheQuantizationBits"] = bits;
      RunPrompt(plan, head, (head * bits + 32) / 16);
      if (bits == 4) Only(plan, "attention_turn");
    }
}

// A QMoE of 64 tokens of four experts, or a MoE without `bits`, whose products are of a multiple of 32.
void RunExperts(ShapePlan& plan, int64_t bits, bool zeros, bool fc3) {
  constexpr int64_t kTokens = 64, kExperts = 4, kHidden = 96, kInter = 160;
  const auto add = [&](DType type, const Shape& shape) { plan.Add(type, shape); };
  const auto weight = [&](int64_t rows, int64_t k) {
    add(bits ? DType::kU8 : DType::kF16, {kExperts, rows, bits ? k * bits / 8 : k});
    if (bits) add(DType::kF16, {kExperts, rows, k / 32});
    add(DType::kF16, {kExperts, rows});
  };
  const auto zero = [&](int64_t rows, int64_t k) {
    add(DType::kU8, {kExperts, rows, CeilDiv(k / 32 * bits, int64_t{8})});
  };
  const int64_t rows = fc3 ? kInter : 2 * kInter;
  add(DType::kF16, {kTokens, kHidden});
  add(DType::kF16, {kTokens, kExperts});
  weight(rows, kHidden);
  weight(kHidden, kInter);
  if (fc3) weight(kInter, kHidden);
  if (zeros) {
    while (plan.inputs.size() < 11) plan.inputs.push_back(nullptr);
    zero(rows, kHidden);
    zero(kHidden, kInter);
    if (fc3) zero(kInter, kHidden);
  }
  plan.attrs.Set("k", int64_t{2});
  plan.attrs.Set("activation_type", std::string("swiglu"));
  plan.attrs.Set("swiglu_fusion", int64_t{fc3 ? 0 : 1});
  plan.attrs.Set("expert_weight_bits", bits);
  plan.attrs.Set("block_size", int64_t{32});
  RunRow(bits ? "QMoE" : "MoE", plan);
}

TEST(Matrix, ExpertsOfEveryKindUseThem) {
  for (const int64_t bits : {0, 2, 4, 8})
    for (const bool zeros : {false, true})
      for (const bool fc3 : {false, true}) {
        if (zeros && bits == 0) continue;
        MatrixPlan plan;
        RunExperts(plan, bits, zeros, fc3);
        ASSERT_EQ(plan.dispatches.size(), 5u) << "route, sort, two products, combine";
        for (const size_t i : {2, 3}) {
          EXPECT_STREQ(plan.dispatches[i].shader, "moe_matrix");
          if (HasTint()) {
            EXPECT_EQ(TintErrors(Render(plan.dispatches[i])), "");
          }
        }
        const int64_t tiles = 4 + (64 * 2 - 4) / 64;
        EXPECT_EQ(plan.dispatches[2].grid.x, tiles * CeilDiv(2 * 160, 128));
        EXPECT_EQ(plan.dispatches[3].grid.x, tiles);
      }
}

TEST(Matrix, UnevenOperandsDoNot) {
  MatrixPlan plan;
  plan.Add(DType::kF16, {100, 71});
  plan.Add(DType::kF16, {71, 136});
  RunRow("Gemm", plan);
  ASSERT_EQ(plan.dispatches.size(), 1u);
  EXPECT_STREQ(plan.dispatches[0].shader, "gemm_tile");
}

}  // namespace
}  // namespace daybreak
