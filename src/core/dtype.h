// Element types of tensors, and how an element lies in a storage buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace daybreak {

enum class DType : uint8_t {
  kUndefined,
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
  kI4,
  kU4,
};

// Bits of one element (4 for i4 and u4, 8 for bool).
size_t BitsOf(DType type);

// Bytes of `count` elements, rounded up to a whole byte.
inline size_t BytesOf(DType type, size_t count) { return (BitsOf(type) * count + 7) / 8; }

// The name used in operator rows and messages: "f32", "f16", "bf16", "f64", "i8", "u8", ..., "bool", "i4",
// "u4".
std::string_view NameOf(DType type);

// The inverse of NameOf; kUndefined when `name` is none of them.
DType DTypeOf(std::string_view name);

constexpr bool IsFloat(DType t) {
  return t == DType::kF32 || t == DType::kF16 || t == DType::kBF16 || t == DType::kF64;
}
constexpr bool IsInt64(DType t) { return t == DType::kI64 || t == DType::kU64; }

// The unsigned type of the same size (bool becomes u8): data movement needs no more.
DType RawOf(DType type);

}  // namespace daybreak
