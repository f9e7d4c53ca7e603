// The dense product that MatMul, Gemm and their fused forms share.
#pragma once

#include "core/op.h"

namespace daybreak {

// y[batch, m, n] = alpha * sum_k a[batch, m, k] * b[batch, k, n] + beta * bias[m, n]. Strides are in
// elements; y is contiguous. Accumulation is f32 for floats and wraps for integers (which take alpha = beta =
// 1).
struct Product {
  const Tensor* a = nullptr;
  const Tensor* b = nullptr;
  const Tensor* bias = nullptr;
  const Tensor* y = nullptr;
  uint32_t m = 0, n = 0, k = 0;
  uint32_t a_m = 0, a_k = 1;
  uint32_t b_k = 0, b_n = 1;
  uint32_t bias_m = 0, bias_n = 0;
  float alpha = 1, beta = 1;
  Ints batch, a_batch, b_batch;  // batch dimensions of y (merged, at least one) and the strides of a and b

  uint32_t batches() const;
};

// Chooses a kernel and runs it.
void Multiply(Plan& p, const Product& product);

}  // namespace daybreak
