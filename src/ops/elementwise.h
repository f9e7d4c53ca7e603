// What the elementwise families share: value classes of WGSL and the common walk of broadcast operands.
#pragma once

#include <initializer_list>

#include "core/op.h"

namespace daybreak {

// How WGSL computes with an element type.
enum class Kind : uint8_t { kFloat, kInt, kUint, kInt64, kUint64, kBool };
inline constexpr size_t kKinds = 6;

constexpr Kind KindOf(DType type) {
  switch (type) {
    case DType::kI4:
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
      return Kind::kInt;
    case DType::kU4:
    case DType::kU8:
    case DType::kU16:
    case DType::kU32:
      return Kind::kUint;
    case DType::kI64:
      return Kind::kInt64;
    case DType::kU64:
    case DType::kF64:  // by its bits
      return Kind::kUint64;
    case DType::kBool:
      return Kind::kBool;
    default:
      return Kind::kFloat;
  }
}

// The WGSL value type of one element, or of four in a vector (not for 64-bit integers).
constexpr const char* ValueType(Kind kind, bool vector) {
  constexpr const char* kScalar[kKinds] = {"f32", "i32", "u32", "vec2<u32>", "vec2<u32>", "bool"};
  constexpr const char* kVector[kKinds] = {"vec4<f32>", "vec4<i32>", "vec4<u32>",
                                           nullptr,     nullptr,     "vec4<bool>"};
  return (vector ? kVector : kScalar)[static_cast<size_t>(kind)];
}

// True for the types that a binding can read four at a time.
constexpr bool HasVectors(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kI32 || type == DType::kU32;
}

// What the function of an elementwise operator uses beside WGSL itself: lib/math.wgsl, and lib/trig.wgsl,
// whose functions take one element at a time.
enum class Needs : uint8_t { kPlain, kMath, kTrig };

// Attributes that a function reads as params.alpha, params.beta and params.gamma.
struct MapValues {
  float alpha = 0, beta = 0, gamma = 0;
};

// y[i] = f(x[i]) with `code`, "fn f(v: V) -> R { ... }" in static memory; V and R are the value types of x
// and y, or vectors of four. The tensors have the same number of elements. lib/int64.wgsl is there when one
// has 64-bit integers.
void MapElements(Plan& p, const char* code, Needs needs, const Tensor* x, const Tensor* y,
                 const MapValues& values = {});

// Threads of one workgroup of an elementwise kernel.
inline constexpr uint32_t kElementThreads = 256;
inline Grid ElementGrid(int64_t threads) { return {CeilDiv<int64_t>(threads, kElementThreads)}; }

// A broadcast iteration space with the fewest axes: axes of size 1 are gone, neighbours are merged wherever
// every operand allows it. At least one axis remains. Strides are in elements, 0 along broadcast axes; the
// last one is 0 or 1.
struct Walk {
  Shape dims;
  FixedVec<Shape, 4> strides;  // one list per operand
};
Walk WalkOf(const Shape& target, std::initializer_list<const Shape*> operands);

// Turns the walk's last axis into vectors of four: true when its size allows it. Operands with last stride 1
// are then read as vectors (width 4, strides in vectors), the others as single elements.
bool Vectorize(Walk& walk);

}  // namespace daybreak
