// Elementwise operators of one operand.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

#define F(expression) "fn f(v: V) -> R { return " expression "; }"

// One operator. `attrs` are read into params.alpha, .beta and .gamma.
struct Function {
  const char* code[kKinds] = {};  // by Kind; nullptr where ONNX has no such type
  Needs needs = Needs::kPlain;
  struct Attr {
    const char* name;
    float fallback;
  } attrs[3] = {};
};
constexpr Needs kPlain = Needs::kPlain, kMath = Needs::kMath, kTrig = Needs::kTrig;

void Issue(Plan& p, const Function& op, const Tensor* x, const Tensor* y, const MapValues& values) {
  MapElements(p, op.code[static_cast<size_t>(KindOf(x->type))], op.needs, x, y, values);
}

template <const Function& op>
void Unary(Plan& p) {
  const auto value = [&](size_t i) {
    return op.attrs[i].name ? p.Attr(op.attrs[i].name, op.attrs[i].fallback) : op.attrs[i].fallback;
  };
  const Tensor* x = p.In(0);
  Issue(p, op, x, p.Out(0, x->shape), {value(0), value(1), value(2)});
}

constexpr Function kAbs{{F("abs(v)"), F("abs(v)"), F("v"), F("abs64(v)"), F("v")}};
constexpr Function kNeg{{F("-v"), F("-v"), nullptr, F("neg64(v)")}};
constexpr Function kSign{{F("select(sign(v), v, is_nan(v))"), F("sign(v)"), F("min(v, V(1u))"),
                          F("sign64(v)"), F("min_u64(v, V(1u, 0u))")},
                         kMath};
constexpr Function kFloor{{F("floor(v)")}};
constexpr Function kCeil{{F("ceil(v)")}};
constexpr Function kRound{{F("round(v)")}};
constexpr Function kReciprocal{{F("1.0 / v")}};
constexpr Function kSqrt{{F("sqrt(v)")}};
constexpr Function kExp{{F("exp_(v)")}, kMath};
constexpr Function kLog{{F("log_(v)")}, kMath};
constexpr Function kSigmoid{{F("sigmoid_(v)")}, kMath};
constexpr Function kTanh{{F("tanh_(v)")}, kMath};
constexpr Function kErf{{F("erf_(v)")}, kMath};
constexpr Function kSinh{{F("sinh_(v)")}, kMath};
constexpr Function kCosh{{F("cosh_(v)")}, kMath};
constexpr Function kAsinh{{F("asinh_(v)")}, kMath};
constexpr Function kAcosh{{F("acosh_(v)")}, kMath};
constexpr Function kAtanh{{F("atanh_(v)")}, kMath};
constexpr Function kSin{{F("sin_(v)")}, kTrig};
constexpr Function kCos{{F("cos_(v)")}, kTrig};
constexpr Function kTan{{F("tan_(v)")}, kTrig};
constexpr Function kAsin{{F("asin_(v)")}, kTrig};
constexpr Function kAcos{{F("acos_(v)")}, kTrig};
constexpr Function kAtan{{F("atan_(v)")}, kTrig};
constexpr Function kNot{{nullptr, nullptr, nullptr, nullptr, nullptr, F("!v")}};
constexpr Function kBitwiseNot{{nullptr, F("~v"), F("~v"), F("~v"), F("~v")}};
constexpr Function kIsNaN{{F("is_nan(v)")}, kMath};
constexpr Function kIsInf{{F("is_inf(v) & (((v > V(0.0)) & (V(params.alpha) > V(0.0))) | ((v < V(0.0)) & "
                             "(V(params.beta) > V(0.0))))")},
                          kMath};

constexpr Function kRelu{{F("select(v, V(0.0), v < V(0.0))"), F("max(v, V(0))"), F("v"),
                          F("select(v, V(0u, 0u), negative64(v))")}};
constexpr Function kLeakyRelu{{F("select(v, params.alpha * v, v < V(0.0))")}, kPlain, {{"alpha", 0.01f}}};
constexpr Function kElu{{F("select(v, params.alpha * expm1_(v), v < V(0.0))")}, kMath, {{"alpha", 1.0f}}};
constexpr Function kSelu{{F("params.beta * select(v, params.alpha * expm1_(v), v < V(0.0))")},
                         kMath,
                         {{"alpha", 1.67326319217681884765625f}, {"gamma", 1.05070102214813232421875f}}};
constexpr Function kCelu{
    {F("select(v, params.alpha * expm1_(v / params.alpha), v < V(0.0))")}, kMath, {{"alpha", 1.0f}}};
constexpr Function kHardSigmoid{
    {F("select(clamp(params.alpha * v + params.beta, V(0.0), V(1.0)), v, is_nan(v))")},
    kMath,
    {{"alpha", 0.2f}, {"beta", 0.5f}}};
constexpr Function kHardSwish{{F("select(v * clamp(v * 0.166666667 + 0.5, V(0.0), V(1.0)), v, is_nan(v))")},
                              kMath};
// tanh(softplus(v)) = (e^2 + 2 e) / (e^2 + 2 e + 2) with e = exp(v).
constexpr Function kMish{{"fn f(v: V) -> R {\n  let e = exp_(min(v, V(20.0)));\n  let n = e * (e + 2.0);\n"
                          "  return select(select(v * (n / (n + 2.0)), v, v > V(20.0)), v, is_nan(v));\n}"},
                         kMath};
constexpr Function kSwish{{F("v * sigmoid_(params.alpha * v)")}, kMath, {{"alpha", 1.0f}}};
constexpr Function kQuickGelu{{F("v * sigmoid_(params.alpha * v)")}, kMath, {{"alpha", 1.702f}}};
constexpr Function kThresholdedRelu{{F("select(V(0.0), v, v > V(params.alpha))")}, kPlain, {{"alpha", 1.0f}}};
constexpr Function kSoftplus{{F("softplus_(v)")}, kMath};
constexpr Function kSoftsign{{F("v / (1.0 + abs(v))")}};
constexpr Function kGeluErf{{F("0.5 * v * (1.0 + erf_(v * 0.707106781))")}, kMath};
constexpr Function kGeluTanh{{F("v * sigmoid_(1.59576912 * (v + 0.044715 * v * v * v))")}, kMath};
// alpha: bias, beta: lambd. Integer types shrink in f32, as ONNX's formula does.
constexpr Function kShrink{{F("select(select(V(0.0), v - params.alpha, v > V(params.beta)), v + "
                              "params.alpha, v < V(-params.beta))")},
                           kPlain,
                           {{"bias", 0.0f}, {"lambd", 0.5f}}};

void Gelu(Plan& p) { p.Attr("approximate", "none") == "tanh" ? Unary<kGeluTanh>(p) : Unary<kGeluErf>(p); }

void IsInf(Plan& p) {
  const Tensor* x = p.In(0);
  const auto flag = [&](const char* name) { return p.Attr(name, 1) != 0 ? 1.0f : 0.0f; };
  Issue(p, kIsInf, x, p.Out(0, x->shape), {flag("detect_positive"), flag("detect_negative")});
}

#define FLOATS "f32 f16 bf16"

const Register ops{
    {.name = "Abs",
     .since = 6,
     .types = "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16",
     .plan = Unary<kAbs>},
    {.name = "Neg", .since = 6, .types = "T: f32 f16 bf16 i32 i64 i8 i16", .plan = Unary<kNeg>},
    {.name = "Sign",
     .since = 9,
     .types = "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16",
     .plan = Unary<kSign>},
    {.name = "Floor", .since = 6, .types = "T: " FLOATS, .plan = Unary<kFloor>},
    {.name = "Ceil", .since = 6, .types = "T: " FLOATS, .plan = Unary<kCeil>},
    {.name = "Round", .since = 11, .types = "T: " FLOATS, .plan = Unary<kRound>},
    {.name = "Reciprocal", .since = 6, .types = "T: " FLOATS, .plan = Unary<kReciprocal>},
    {.name = "Sqrt", .since = 6, .types = "T: " FLOATS, .plan = Unary<kSqrt>},
    {.name = "Exp", .since = 6, .types = "T: " FLOATS, .plan = Unary<kExp>},
    {.name = "Log", .since = 6, .types = "T: " FLOATS, .plan = Unary<kLog>},
    {.name = "Sigmoid", .since = 6, .types = "T: " FLOATS, .plan = Unary<kSigmoid>},
    {.name = "Tanh", .since = 6, .types = "T: " FLOATS, .plan = Unary<kTanh>},
    {.name = "Erf", .since = 9, .types = "T: " FLOATS, .plan = Unary<kErf>},
    {.name = "Sin", .since = 7, .types = "T: " FLOATS, .plan = Unary<kSin>},
    {.name = "Cos", .since = 7, .types = "T: " FLOATS, .plan = Unary<kCos>},
    {.name = "Tan", .since = 7, .types = "T: " FLOATS, .plan = Unary<kTan>},
    {.name = "Asin", .since = 7, .types = "T: " FLOATS, .plan = Unary<kAsin>},
    {.name = "Acos", .since = 7, .types = "T: " FLOATS, .plan = Unary<kAcos>},
    {.name = "Atan", .since = 7, .types = "T: " FLOATS, .plan = Unary<kAtan>},
    {.name = "Sinh", .since = 9, .types = "T: " FLOATS, .plan = Unary<kSinh>},
    {.name = "Cosh", .since = 9, .types = "T: " FLOATS, .plan = Unary<kCosh>},
    {.name = "Asinh", .since = 9, .types = "T: " FLOATS, .plan = Unary<kAsinh>},
    {.name = "Acosh", .since = 9, .types = "T: " FLOATS, .plan = Unary<kAcosh>},
    {.name = "Atanh", .since = 9, .types = "T: " FLOATS, .plan = Unary<kAtanh>},
    {.name = "Not", .since = 1, .types = "T: bool", .plan = Unary<kNot>},
    {.name = "BitwiseNot",
     .since = 18,
     .types = "T: i32 u32 i64 u64 i8 u8 i16 u16",
     .plan = Unary<kBitwiseNot>},
    {.name = "IsNaN", .since = 9, .types = "T1: " FLOATS, .plan = Unary<kIsNaN>},
    {.name = "IsInf", .since = 10, .types = "T1: " FLOATS, .plan = IsInf},
    {.name = "Relu", .since = 6, .types = "T: f32 f16 bf16 i32 i64 i8 i16", .plan = Unary<kRelu>},
    {.name = "LeakyRelu", .since = 6, .types = "T: " FLOATS, .plan = Unary<kLeakyRelu>},
    {.name = "Elu", .since = 6, .types = "T: " FLOATS, .plan = Unary<kElu>},
    {.name = "Selu", .since = 6, .types = "T: " FLOATS, .plan = Unary<kSelu>},
    {.name = "Celu", .since = 12, .types = "T: " FLOATS, .plan = Unary<kCelu>},
    {.name = "HardSigmoid", .since = 6, .types = "T: " FLOATS, .plan = Unary<kHardSigmoid>},
    {.name = "HardSwish", .since = 14, .types = "T: " FLOATS, .plan = Unary<kHardSwish>},
    {.name = "Mish", .since = 18, .types = "T: " FLOATS, .plan = Unary<kMish>},
    {.name = "Swish", .since = 24, .types = "T: " FLOATS, .plan = Unary<kSwish>},
    {.name = "ThresholdedRelu", .since = 10, .types = "T: " FLOATS, .plan = Unary<kThresholdedRelu>},
    {.name = "Softplus", .since = 1, .types = "T: " FLOATS, .plan = Unary<kSoftplus>},
    {.name = "Softsign", .since = 1, .types = "T: " FLOATS, .plan = Unary<kSoftsign>},
    {.name = "Shrink", .since = 9, .types = "T: " FLOATS, .plan = Unary<kShrink>},
    {.name = "Gelu", .since = 20, .types = "T: " FLOATS, .plan = Gelu},
    {.domain = "com.microsoft", .name = "Gelu", .types = "T: " FLOATS, .plan = Unary<kGeluErf>},
    {.domain = "com.microsoft", .name = "QuickGelu", .types = "T: " FLOATS, .plan = Unary<kQuickGelu>},
};

}  // namespace
}  // namespace daybreak
