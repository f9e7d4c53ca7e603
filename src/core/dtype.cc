#include "core/dtype.h"

#include <array>

namespace daybreak {
namespace {

struct Row {
  DType type;
  std::string_view name;
  size_t bits;
  DType raw;
};

constexpr std::array<Row, 16> kRows{{
    {DType::kUndefined, "undefined", 0, DType::kUndefined},
    {DType::kF32, "f32", 32, DType::kU32},
    {DType::kF16, "f16", 16, DType::kU16},
    {DType::kBF16, "bf16", 16, DType::kU16},
    {DType::kF64, "f64", 64, DType::kU64},
    {DType::kI8, "i8", 8, DType::kU8},
    {DType::kU8, "u8", 8, DType::kU8},
    {DType::kI16, "i16", 16, DType::kU16},
    {DType::kU16, "u16", 16, DType::kU16},
    {DType::kI32, "i32", 32, DType::kU32},
    {DType::kU32, "u32", 32, DType::kU32},
    {DType::kI64, "i64", 64, DType::kU64},
    {DType::kU64, "u64", 64, DType::kU64},
    {DType::kBool, "bool", 8, DType::kU8},
    {DType::kI4, "i4", 4, DType::kU4},
    {DType::kU4, "u4", 4, DType::kU4},
}};

const Row& At(DType type) { return kRows[static_cast<size_t>(type)]; }

}  // namespace

size_t BitsOf(DType type) { return At(type).bits; }
std::string_view NameOf(DType type) { return At(type).name; }
DType RawOf(DType type) { return At(type).raw; }

DType DTypeOf(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.type;
  return DType::kUndefined;
}

}  // namespace daybreak
