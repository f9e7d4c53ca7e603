// Data movement that operators share: copies in the widest pieces that an operator's runs allow, bit-exact
// for any type.
#pragma once

#include <initializer_list>

#include "core/op.h"

namespace daybreak {

// Threads of a workgroup in the shaders that move data.
inline constexpr int64_t kMoveGroup = 256;

// The piece that moves at once: `elements` elements of the tensor, seen as u32 words, or, when not even one
// word divides the runs (1-, 2- and half-byte types at odd positions), one element of the raw type.
struct Unit {
  int64_t elements = 1;
  View view = View::kRaw;
  uint32_t width = 1;

  bool words() const { return view == View::kWords; }
};

// The widest unit (16, 8 or 4 bytes) that divides every run; runs are counted in elements, signs do not
// matter.
Unit UnitOf(DType type, std::initializer_list<int64_t> runs);

// A dispatch of a shader that includes lib/move.wgsl: fills y unit by unit. Gives the constants of that
// snippet, the output, the parameter `size` and the grid; the caller adds what the shader's unit_at() reads.
// Where units are shorter than 16 bytes, a thread writes several of them, unless `partial`: then y keeps some
// of its values.
Dispatch MoveTo(const char* shader, const Tensor* y, const Unit& unit, bool partial = false);

// The same with the input x, which is seen in units.
Dispatch MoveOf(const char* shader, const Tensor* x, const Tensor* y, const Unit& unit);

// One axis of an output whose element c is read at (c % wrap) * stride; wrap divides size.
struct Axis {
  int64_t size, stride, wrap;

  Axis() = default;
  Axis(int64_t size_, int64_t stride_) : Axis(size_, stride_, size_) {}
  Axis(int64_t size_, int64_t stride_, int64_t wrap_) : size(size_), stride(stride_), wrap(wrap_) {}
};
using Axes = FixedVec<Axis, kMaxRank>;

// Drops axes of size 1 and joins neighbours that can be walked as one axis. At least one axis remains.
Axes Merged(const Axes& axes);

// y[c] = x[base + sum of (c_k % wrap_k) * stride_k]. The sizes multiply to y's elements; strides may be 0 or
// negative.
void Strided(Plan& p, const Tensor* x, const Tensor* y, const Axes& axes, int64_t base = 0);

// y = the axes of x, taken as `dims`, in the order `perm`; y's own shape only has to hold as many elements.
void Permute(Plan& p, const Tensor* x, const Tensor* y, const Shape& dims, const Shape& perm);

// Fills y with a bit pattern that repeats every 4 bytes (low == high) or 8 bytes.
void Fill(Plan& p, const Tensor* y, uint32_t low, uint32_t high);

// The bits of one element, repeated up to 64 bits.
uint64_t PatternOf(DType type, const void* element);

// Words of an i32 or i64 element, for shaders that include lib/wrap_index.wgsl.
inline uint32_t IndexWords(const Tensor& indices) { return IsInt64(indices.type) ? 2 : 1; }

}  // namespace daybreak
