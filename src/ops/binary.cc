// Elementwise operators of two operands, and the variadic ones that fold them, with NumPy broadcasting.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

#define F(expression) "fn f(a: V, b: W) -> R { return " expression "; }"

// One operator: its function for each kind of operands (V: type of a, W: of b, R: of the result).
struct Function {
  const char* code[kKinds] = {};  // by Kind; nullptr where ONNX has no such type
  bool vectors = true;            // the expressions are right for vectors too
  bool math = false;              // they need lib/math.wgsl
  bool power = false;             // they need lib/power.wgsl; then also `math`, and not `vectors`
};

// How the vector path reads an operand: four elements, or one for all four lanes.
constexpr const char* kVectorA = "fn a_load(i: u32) -> V { return V(a[i]); }";
constexpr const char* kVectorB = "fn b_load(i: u32) -> W { return W(b[i]); }";
constexpr const char* kElementA = "fn a_load(i: u32) -> V { return V(a_get(i)); }";
constexpr const char* kElementB = "fn b_load(i: u32) -> W { return W(b_get(i)); }";

// y = f(a, b); `scale` is what functions read as params.scale.
void Issue(Plan& p, const char* code, const Function& op, const Tensor* a, const Tensor* b, const Tensor* y,
           float scale = 1) {
  const Kind ka = KindOf(a->type), kb = KindOf(b->type), ky = KindOf(y->type);
  Walk walk = WalkOf(y->shape, {&a->shape, &b->shape});
  const bool flags = ky == Kind::kBool;
  const bool vectors = op.vectors && HasVectors(a->type) && HasVectors(b->type) &&
                       (flags || HasVectors(y->type)) && Vectorize(walk);
  const bool wide = ka == Kind::kInt64 || ka == Kind::kUint64 || kb == Kind::kInt64 || kb == Kind::kUint64;
  const auto width = [&](size_t k) { return vectors && walk.strides[k].back() != 0 ? 4u : 1u; };
  Bind out{"y", y, vectors ? 4u : 1u};
  if (vectors && flags) out = {"y", y, 1, View::kWords};
  const int64_t size = vectors ? y->count() / 4 : y->count();
  p.Run({.shader = "binary",
         .consts = {{"WG", kElementThreads},
                    {"RANK", static_cast<uint32_t>(walk.dims.size())},
                    {"VEC", vectors},
                    {"FLAGS", flags},
                    {"WIDE", wide},
                    {"MATH", op.math && (op.power || ka == Kind::kFloat)},
                    {"POWER", op.power},
                    {"V", ValueType(ka, vectors)},
                    {"W", ValueType(kb, vectors)},
                    {"R", ValueType(ky, vectors)},
                    {"VF", ValueType(Kind::kFloat, vectors)},
                    {"VU", ValueType(Kind::kUint, vectors)},
                    {"VI", ValueType(Kind::kInt, vectors)},
                    {"VB", ValueType(Kind::kBool, vectors)},
                    {"a_load", Code{width(0) == 4 ? kVectorA : kElementA}},
                    {"b_load", Code{width(1) == 4 ? kVectorB : kElementB}},
                    {"f", Code{code}}},
         .in = {{"a", a, width(0)}, {"b", b, width(1)}},
         .out = {out},
         .params = {{"dims", ToInts(walk.dims)},
                    {"a_stride", ToInts(walk.strides[0])},
                    {"b_stride", ToInts(walk.strides[1])},
                    {"size", U32(size)},
                    {"scale", scale}},
         .grid = ElementGrid(vectors ? size : CeilDiv<int64_t>(size, PerThread(out)))});
}

template <const Function& op>
void Binary(Plan& p) {
  const Tensor *a = p.In(0), *b = p.In(1);
  const Tensor* y = p.Out(0, Broadcast(a->shape, b->shape));
  Issue(p, op.code[static_cast<size_t>(KindOf(a->type))], op, a, b, y);
}

// Folds all inputs from the left, in f32 for the float types; the last step uses `last`.
void Fold(Plan& p, const Function& step, const Function& last) {
  const Tensor* x = p.In(0);
  Shape shape = x->shape;
  const size_t n = p.InCount();
  for (size_t i = 1; i < n; ++i) {
    Check(p.In(i) != nullptr, "Operand ", i, " of ", n, " is absent.");
    shape = Broadcast(shape, p.In(i)->shape);
  }
  const Tensor* y = p.Out(0, shape);
  if (n == 1) return p.Copy(x, y, x->bytes());
  const Kind kind = KindOf(x->type);
  const Tensor* sum = x;
  for (size_t i = 1; i < n; ++i) {
    const bool end = i + 1 == n;
    const Tensor* to =
        end ? y
            : p.Scratch(kind == Kind::kFloat ? DType::kF32 : x->type, Broadcast(sum->shape, p.In(i)->shape));
    const Function& op = end ? last : step;
    Issue(p, op.code[static_cast<size_t>(kind)], op, sum, p.In(i), to, 1.0f / static_cast<float>(n));
    sum = to;
  }
}

template <const Function& step, const Function& last>
void Variadic(Plan& p) {
  Fold(p, step, last);
}

constexpr Function kAdd{{F("a + b"), F("a + b"), F("a + b"), F("add64(a, b)"), F("add64(a, b)")}};
constexpr Function kSub{{F("a - b"), F("a - b"), F("a - b"), F("sub64(a, b)"), F("sub64(a, b)")}};
constexpr Function kMul{{F("a * b"), F("a * b"), F("a * b"), F("mul64(a, b)"), F("mul64(a, b)")}};
constexpr Function kDiv{{F("a / b"), F("a / b"), F("a / b"), F("div_i64(a, b)"), F("div_u64(a, b)")}};
constexpr Function kMeanEnd{{F("(a + b) * params.scale")}};

// A NaN in either operand is the result.
constexpr Function kMax{{F("select(select(max(a, b), b, is_nan(b)), a, is_nan(a))"), F("max(a, b)"),
                         F("max(a, b)"), F("max_i64(a, b)"), F("max_u64(a, b)")},
                        true,
                        true};
constexpr Function kMin{{F("select(select(min(a, b), b, is_nan(b)), a, is_nan(a))"), F("min(a, b)"),
                         F("min(a, b)"), F("min_i64(a, b)"), F("min_u64(a, b)")},
                        true,
                        true};
constexpr Function kPRelu{{F("select(a, a * b, a < V(0.0))"), F("select(a, a * b, a < V(0))"), F("a"),
                           F("select(a, mul64(a, b), negative64(a))"), F("a")}};

constexpr Function kEqual{
    {F("a == b"), F("a == b"), F("a == b"), F("equal64(a, b)"), F("equal64(a, b)"), F("a == b")}};
constexpr Function kLess{{F("a < b"), F("a < b"), F("a < b"), F("less_i64(a, b)"), F("less_u64(a, b)")}};
constexpr Function kGreater{{F("a > b"), F("a > b"), F("a > b"), F("less_i64(b, a)"), F("less_u64(b, a)")}};
constexpr Function kLessEqual{
    {F("a <= b"), F("a <= b"), F("a <= b"), F("!less_i64(b, a)"), F("!less_u64(b, a)")}};
constexpr Function kGreaterEqual{
    {F("a >= b"), F("a >= b"), F("a >= b"), F("!less_i64(a, b)"), F("!less_u64(a, b)")}};

constexpr Function kAnd{{nullptr, nullptr, nullptr, nullptr, nullptr, F("a && b")}};
constexpr Function kOr{{nullptr, nullptr, nullptr, nullptr, nullptr, F("a || b")}};
constexpr Function kXor{{nullptr, nullptr, nullptr, nullptr, nullptr, F("a != b")}};
constexpr Function kBitAnd{{nullptr, F("a & b"), F("a & b"), F("a & b"), F("a & b")}};
constexpr Function kBitOr{{nullptr, F("a | b"), F("a | b"), F("a | b"), F("a | b")}};
constexpr Function kBitXor{{nullptr, F("a ^ b"), F("a ^ b"), F("a ^ b"), F("a ^ b")}};

// Shifting by the width of the type or more gives 0; narrow types drop their high bits when they are stored.
constexpr Function kShiftLeft{{nullptr, nullptr, F("select(a << min(b, W(31u)), V(0u), b > W(31u))"), nullptr,
                               F("shl64(a, select(b.x, 64u, b.y != 0u))")}};
constexpr Function kShiftRight{{nullptr, nullptr, F("select(a >> min(b, W(31u)), V(0u), b > W(31u))"),
                                nullptr, F("shr_u64(a, select(b.x, 64u, b.y != 0u))")}};

// fmod = 0: the sign of the divisor; fmod = 1: the sign of the dividend.
constexpr Function kModulo{{nullptr, F("a % b + select(0, b, (a % b != 0) && ((a % b < 0) != (b < 0)))"),
                            F("a % b"), F("mod_i64(a, b)"), F("rem_u64(a, b)")},
                           false};
constexpr Function kRemainder{
    {F("fmod(a, b)"), F("a % b"), F("a % b"), F("rem_i64(a, b)"), F("rem_u64(a, b)")}, false, true, true};

// Powers by the exponent's kind, for each kind of base.
constexpr Function kFloatPower{{F("pow_(a, b)"), F("pow_(a, VF(b))"), F("pow_(a, VF(b))")}, true, true};
constexpr Function kFloatPowerWide{
    {nullptr, nullptr, nullptr, F("pow_(a, f32_of_i64(b))"), F("pow_(a, f32_of_u64(b))")}, false, true};
constexpr Function kIntPower{
    {F("power_i32_f32(a, b)"), F("power_i32(a, b)"), F("power_i32(a, exponent_of_u32(b))"),
     F("power_i32(a, exponent_of_i64(b))"), F("power_i32(a, exponent_of_u64(b))")},
    false,
    true,
    true};
constexpr Function kInt64Power{
    {F("power_i64_f32(a, b)"), F("power_i64(a, b)"), F("power_i64(a, exponent_of_u32(b))"),
     F("power_i64(a, exponent_of_i64(b))"), F("power_i64(a, exponent_of_u64(b))")},
    false,
    true,
    true};

void Pow(Plan& p) {
  const Tensor *a = p.In(0), *b = p.In(1);
  const Kind base = KindOf(a->type), exponent = KindOf(b->type);
  const bool wide = exponent == Kind::kInt64 || exponent == Kind::kUint64;
  const Function& op = base == Kind::kInt     ? kIntPower
                       : base == Kind::kInt64 ? kInt64Power
                       : wide                 ? kFloatPowerWide
                                              : kFloatPower;
  const Tensor* y = p.Out(0, Broadcast(a->shape, b->shape));
  Issue(p, op.code[static_cast<size_t>(exponent)], op, a, b, y);
}

void BitShift(Plan& p) { p.Attr("direction", "") == "LEFT" ? Binary<kShiftLeft>(p) : Binary<kShiftRight>(p); }

void Mod(Plan& p) { p.Attr("fmod", 0) != 0 ? Binary<kRemainder>(p) : Binary<kModulo>(p); }

std::string ModDeclines(const NodeView& n) {
  const bool is_float = !n.in.empty() && IsFloat(n.in[0].type);
  return is_float && n.Attr("fmod", 0) == 0 ? "Mod of floats needs the attribute fmod = 1" : "";
}

#define NUMBERS "f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16"

const Register ops{
    {.name = "Add", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kAdd>},
    {.name = "Sub", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kSub>},
    {.name = "Mul", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kMul>},
    {.name = "Div", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kDiv>},
    {.name = "Mod", .since = 10, .types = "T: " NUMBERS, .plan = Mod, .declines = ModDeclines},
    {.name = "Pow", .since = 7, .until = 11, .types = "T: f32 f16 bf16", .plan = Pow},
    {.name = "Pow", .since = 12, .types = "T: f32 f16 bf16 i32 i64; T1: " NUMBERS, .plan = Pow},
    {.name = "PRelu", .since = 7, .types = "T: f32 f16 bf16 i32 u32 i64 u64", .plan = Binary<kPRelu>},
    {.name = "Sum", .since = 6, .types = "T: f32 f16 bf16", .plan = Variadic<kAdd, kAdd>},
    {.name = "Mean", .since = 6, .types = "T: f32 f16 bf16", .plan = Variadic<kAdd, kMeanEnd>},
    {.name = "Max", .since = 6, .types = "T: " NUMBERS, .plan = Variadic<kMax, kMax>},
    {.name = "Min", .since = 6, .types = "T: " NUMBERS, .plan = Variadic<kMin, kMin>},
    {.name = "Equal", .since = 7, .types = "T: bool " NUMBERS, .plan = Binary<kEqual>},
    {.name = "Less", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kLess>},
    {.name = "Greater", .since = 7, .types = "T: " NUMBERS, .plan = Binary<kGreater>},
    {.name = "LessOrEqual", .since = 12, .types = "T: " NUMBERS, .plan = Binary<kLessEqual>},
    {.name = "GreaterOrEqual", .since = 12, .types = "T: " NUMBERS, .plan = Binary<kGreaterEqual>},
    {.name = "And", .since = 7, .types = "T: bool", .plan = Binary<kAnd>},
    {.name = "Or", .since = 7, .types = "T: bool", .plan = Binary<kOr>},
    {.name = "Xor", .since = 7, .types = "T: bool", .plan = Binary<kXor>},
    {.name = "BitwiseAnd", .since = 18, .types = "T: i32 u32 i64 u64 i8 u8 i16 u16", .plan = Binary<kBitAnd>},
    {.name = "BitwiseOr", .since = 18, .types = "T: i32 u32 i64 u64 i8 u8 i16 u16", .plan = Binary<kBitOr>},
    {.name = "BitwiseXor", .since = 18, .types = "T: i32 u32 i64 u64 i8 u8 i16 u16", .plan = Binary<kBitXor>},
    {.name = "BitShift", .since = 11, .types = "T: u32 u64 u8 u16", .plan = BitShift},
};

}  // namespace
}  // namespace daybreak
