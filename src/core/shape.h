// Shapes of rank 0 to 8 and the index arithmetic that operators share.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/fixed_vec.h"

namespace daybreak {

inline constexpr size_t kMaxRank = 8;

// Dimensions, outermost first. Rank 0 is a scalar; a dimension of 0 makes the tensor empty.
using Shape = FixedVec<int64_t, kMaxRank>;

// Product of all dimensions (1 for a scalar).
int64_t Count(const Shape& shape);

// Product of dimensions [first, last).
int64_t Count(const Shape& shape, size_t first, size_t last);

// "[2,3,4]" for messages.
std::string ToString(const Shape& shape);

// Wraps a negative axis; an Error names `axis` and `rank` when it is outside [-rank, rank).
size_t WrapAxis(int64_t axis, size_t rank);

// A shape seen from one axis: `outer` lines of `dim` elements that lie `stride` apart.
struct AxisSplit {
  int64_t outer, dim, stride;
};
AxisSplit SplitAt(const Shape& shape, int64_t axis);

// NumPy broadcasting of two shapes; an Error names both when they do not match.
Shape Broadcast(const Shape& a, const Shape& b);

// Element strides of a contiguous tensor.
Shape StridesOf(const Shape& shape);

// Strides to read `shape` as if broadcast to `target` (0 along broadcast axes), one entry per target axis.
Shape BroadcastStrides(const Shape& shape, const Shape& target);

template <class T>
constexpr T CeilDiv(T a, T b) {
  return (a + b - 1) / b;
}

// Narrows to u32; an Error names the value when it does not fit.
uint32_t U32(int64_t value);

}  // namespace daybreak
