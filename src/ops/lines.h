// Kernels that work along lines (reductions, softmax, scans) share how a workgroup is laid over them.
#pragma once

#include "ops/elementwise.h"

namespace daybreak {

// A workgroup takes `lines` lines with `lanes` threads each (both powers of two). Neighbouring threads belong
// to one line where its elements are contiguous, else to neighbouring lines, so that memory is read in order
// either way.
struct LineTile {
  uint32_t lines = 1, lanes = 1;
  bool lanes_first = true;
  uint32_t threads() const { return lines * lanes; }
  Grid GridOf(int64_t count) const { return {CeilDiv<int64_t>(count, lines)}; }
};

// The tile for `count` lines of `dim` elements; `contiguous`: the elements of a line lie side by side.
LineTile TileOf(const DeviceInfo& device, int64_t count, int64_t dim, bool contiguous);

// The tensor that a kernel with 32- or 64-bit results writes for `y`: y itself where x_put can store into it,
// else scratch of the value type, which Narrow then converts.
const Tensor* WideOutput(Plan& p, const Tensor* y);
void Narrow(Plan& p, const Tensor* wide, const Tensor* y);

// The value type of accumulators for elements of this kind.
DType WideType(Kind kind);

}  // namespace daybreak
