// Cast and CastLike between all types but strings, and BitCast. Values out of range become what the CPU EP
// makes of them.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

#define F(expression) "fn f(v: V) -> R { return " expression "; }"

// Out of range and NaN: the smallest i32 (x86's conversion); narrower types keep its low bits.
#define FLOAT_TO_INT \
  "fn to_int(v: V) -> VI { return select(VI(-0x7fffffff - 1), VI(v), abs(v) < VF(2147483648.0)); }\n"
#define FLOAT_TO_INT64                                                          \
  "fn to_int64(v: f32) -> W64 {\n"                                              \
  "  if (!(abs(v) < 9223372036854775808.0)) { return W64(0u, 0x80000000u); }\n" \
  "  return select(u64_of_magnitude(v), neg64(u64_of_magnitude(v)), v < 0.0);\n}\n"

// By kind of the source, then of the destination: float, int, uint, int64, uint64, bool.
constexpr const char* kCasts[kKinds][kKinds] = {
    {F("v"), FLOAT_TO_INT F("to_int(v)"),
     FLOAT_TO_INT F(
         "select(bitcast<VU>(to_int(v)), select(VU(0u), VU(v), v < VF(4294967296.0)), v >= VF(0.0))"),
     FLOAT_TO_INT64 F("to_int64(v)"),
     FLOAT_TO_INT64 F(
         "select(to_int64(v), select(W64(0u, 0u), u64_of_magnitude(v), v < 18446744073709551616.0), "
         "v >= 0.0)"),
     F("(bitcast<VU>(v) & VU(0x7fffffffu)) != VU(0u)")},
    {F("VF(v)"), F("v"), F("bitcast<VU>(v)"), F("i64_of(v)"), F("i64_of(v)"), F("v != VI(0)")},
    {F("VF(v)"), F("bitcast<VI>(v)"), F("v"), F("u64_of(v)"), F("u64_of(v)"), F("v != VU(0u)")},
    {F("f32_of_i64(v)"), F("bitcast<i32>(v.x)"), F("v.x"), F("v"), F("v"), F("any(v != W64(0u, 0u))")},
    {F("f32_of_u64(v)"), F("bitcast<i32>(v.x)"), F("v.x"), F("v"), F("v"), F("any(v != W64(0u, 0u))")},
    {F("VF(v)"), F("VI(v)"), F("VU(v)"), F("u64_of(u32(v))"), F("u64_of(u32(v))"), F("v")},
};

// Unsigned types of 16 bits and less take the low bits of an i32, and 4-bit types those of the nearest
// integer, ties away from zero.
constexpr const char* kFloatToNarrow = FLOAT_TO_INT F("bitcast<VU>(to_int(v))");
constexpr const char* kFloatToU4 =
    FLOAT_TO_INT F("bitcast<VU>(to_int(trunc(v) + select(VF(0.0), sign(v), abs(v - trunc(v)) >= VF(0.5))))");
constexpr const char* kFloatToI4 =
    FLOAT_TO_INT F("to_int(trunc(v) + select(VF(0.0), sign(v), abs(v - trunc(v)) >= VF(0.5)))");

// By kind of the other type; integers of 32 bits and less go through i32, and u32 through i64.
constexpr const char* kFromF64[kKinds] = {F("f32_of_f64(v)"), F("i32_of_f64(v)"), F("i64_of_f64(v).x"),
                                          F("i64_of_f64(v)"), F("u64_of_f64(v)"), F("bool_of_f64(v)")};
constexpr const char* kToF64[kKinds] = {F("f64_of_f32(v)"),         F("f64_of_i64(i64_of(v))"),
                                        F("f64_of_u64(u64_of(v))"), F("f64_of_i64(v)"),
                                        F("f64_of_u64(v)"),         F("f64_of_u64(u64_of(u32(v)))")};
constexpr const char* kF64ToNarrow = F("bitcast<u32>(i32_of_f64(v))");
constexpr const char* kSame = F("v");

const char* CodeOf(DType from, DType to) {
  if (from == to) return kSame;
  if (from == DType::kF64) {
    const bool narrow = to == DType::kU8 || to == DType::kU16;
    return narrow ? kF64ToNarrow : kFromF64[static_cast<size_t>(KindOf(to))];
  }
  if (to == DType::kF64) return kToF64[static_cast<size_t>(KindOf(from))];
  if (IsFloat(from) && to == DType::kI4) return kFloatToI4;
  if (IsFloat(from) && to == DType::kU4) return kFloatToU4;
  if (IsFloat(from) && (to == DType::kU8 || to == DType::kU16)) return kFloatToNarrow;
  return kCasts[static_cast<size_t>(KindOf(from))][static_cast<size_t>(KindOf(to))];
}

// The output's type is the model's: `to`, or the type of CastLike's second input.
void Cast(Plan& p) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  MapElements(p, CodeOf(x->type, y->type), Needs::kPlain, x, y);
}

// f64 to 4 bits would need rounding first.
std::string Declines(const NodeView& n) {
  const bool from_f64 = !n.in.empty() && n.in[0].type == DType::kF64;
  const DType to = n.out.empty() ? DType::kUndefined : n.out[0].type;
  return from_f64 && (to == DType::kI4 || to == DType::kU4) ? "f64 is not converted to 4 bits" : "";
}

void BitCast(Plan& p) {
  const Tensor* x = p.In(0);
  p.Copy(x, p.Out(0, x->shape), x->bytes());
}

#define TYPES "f32 f64 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16 bool i4 u4"

const Register ops{
    {.name = "Cast", .since = 6, .types = "T1: " TYPES "; T2: " TYPES, .plan = Cast, .declines = Declines},
    {.name = "CastLike",
     .since = 15,
     .types = "T1: " TYPES "; T2: " TYPES,
     .plan = Cast,
     .declines = Declines},
    {.name = "BitCast", .since = 26, .plan = BitCast},
};

}  // namespace
}  // namespace daybreak
