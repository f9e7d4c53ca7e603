// Layer and RMS normalisation as one description, for operators that normalise on their way.
#pragma once

#include "core/op.h"

namespace daybreak {

struct Norm {
  const Tensor* x = nullptr;
  const Tensor* skip = nullptr;  // added to x: x's shape, or one whose elements repeat over x's outer rows
  const Tensor* bias = nullptr;  // added to x, one row
  const Tensor* scale = nullptr;
  const Tensor* beta = nullptr;
  const Tensor* y = nullptr;
  const Tensor* sum = nullptr;   // x + skip + bias
  const Tensor* mean = nullptr;  // one value a row
  const Tensor* inv = nullptr;   // 1 / sqrt(variance + eps), one value a row
  int64_t cols = 0;              // elements a row
  bool center = false;           // subtract the mean
  float eps = 0;
};

// Runs the norm; nothing happens when there are no rows.
void RunNorm(Plan& p, const Norm& norm);

}  // namespace daybreak
