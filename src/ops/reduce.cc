// Reductions over any set of axes.
#include <algorithm>

#include "ops/elementwise.h"

namespace daybreak {
namespace {

// Functions over A (the accumulator), X (the value of x) and y_v (the value of y).
#define CODE(start, map, join, done)                                      \
  "fn start() -> A { return " start "; } fn map(v: X) -> A { return " map \
  "; } fn join(a: A, b: A) -> A { return " join "; } fn done(a: A) -> y_v { return " done "; }"

struct Reduction {
  const char* code[kKinds] = {};   // by Kind; nullptr where ONNX has no such type
  const char* float_type = "f32";  // the accumulator of floats
};

constexpr const char* kSumInt = CODE("A()", "v", "a + b", "a");
constexpr const char* kSumWide = CODE("A()", "v", "add64(a, b)", "a");
constexpr Reduction kSum{{CODE("0.0", "v", "a + b", "a"), kSumInt, kSumInt, kSumWide, kSumWide}};
constexpr Reduction kMean{{CODE("0.0", "v", "a + b", "a / f32(params.count)"),
                           CODE("0i", "v", "a + b", "a / i32(params.count)"),
                           CODE("0u", "v", "a + b", "a / params.count"),
                           CODE("A()", "v", "add64(a, b)", "div_i64(a, A(params.count, 0u))"),
                           CODE("A()", "v", "add64(a, b)", "div_u64(a, A(params.count, 0u))")}};
constexpr Reduction kProd{{CODE("1.0", "v", "a * b", "a"), CODE("1i", "v", "a * b", "a"),
                           CODE("1u", "v", "a * b", "a"), CODE("A(1u, 0u)", "v", "mul64(a, b)", "a"),
                           CODE("A(1u, 0u)", "v", "mul64(a, b)", "a")}};
// A NaN among the values is the result.
#define PICK(function) "select(select(" function "(a, b), b, is_nan(b)), a, is_nan(a))"
constexpr Reduction kMax{{CODE("-infinity()", "v", PICK("max"), "a"),
                          CODE("i32(0x80000000u)", "v", "max(a, b)", "a"), CODE("0u", "v", "max(a, b)", "a"),
                          CODE("A(0u, 0x80000000u)", "v", "max_i64(a, b)", "a"),
                          CODE("A()", "v", "max_u64(a, b)", "a"), CODE("0u", "u32(v)", "a | b", "a != 0u")}};
constexpr Reduction kMin{
    {CODE("infinity()", "v", PICK("min"), "a"), CODE("0x7fffffffi", "v", "min(a, b)", "a"),
     CODE("0xffffffffu", "v", "min(a, b)", "a"), CODE("A(~0u, 0x7fffffffu)", "v", "min_i64(a, b)", "a"),
     CODE("A(~0u, ~0u)", "v", "min_u64(a, b)", "a"), CODE("1u", "u32(v)", "a & b", "a != 0u")}};
constexpr Reduction kL1{{CODE("0.0", "abs(v)", "a + b", "a"), CODE("0i", "abs(v)", "a + b", "a"), kSumInt,
                         CODE("A()", "abs64(v)", "add64(a, b)", "a"), kSumWide}};
constexpr Reduction kL2{{CODE("0.0", "v * v", "a + b", "sqrt(a)")}};
constexpr Reduction kSumSquare{
    {CODE("0.0", "v * v", "a + b", "a"), CODE("0i", "v * v", "a + b", "a"), CODE("0u", "v * v", "a + b", "a"),
     CODE("A()", "mul64(v, v)", "add64(a, b)", "a"), CODE("A()", "mul64(v, v)", "add64(a, b)", "a")}};
constexpr Reduction kLogSum{{CODE("0.0", "v", "a + b", "log_(a)")}};
// The accumulator is the largest value and the sum of exp(value - largest). An equal pair may be infinite.
constexpr Reduction kLogSumExp{
    {"fn start() -> A { return A(-infinity(), 0.0); } fn map(v: X) -> A { return A(v, 1.0); }\n"
     "fn scaled(a: A, top: f32) -> f32 { return a.y * select(exp_(a.x - top), 1.0, a.x == top); }\n"
     "fn join(a: A, b: A) -> A { let top = max(a.x, b.x); return A(top, scaled(a, top) + scaled(b, top)); }\n"
     "fn done(a: A) -> y_v { return a.x + log_(a.y); }"},
    "vec2<f32>"};

// Axes that are kept and axes that are reduced; neighbours of one sort are merged, axes of size 1 are gone.
struct Axes {
  struct List {
    Shape dims, strides;
  } kept, red;
};

void Append(Axes::List& list, bool merge, int64_t dim, int64_t stride) {
  if (merge) {
    list.dims.back() *= dim;
    list.strides.back() = stride;
  } else {
    list.dims.push_back(dim);
    list.strides.push_back(stride);
  }
}

Axes Split(const Shape& shape, const FixedVec<bool, kMaxRank>& reduced) {
  const Shape strides = StridesOf(shape);
  Axes axes;
  int last = -1;  // the sort of the axis before
  for (size_t a = 0; a < shape.size(); ++a) {
    if (shape[a] == 1) continue;
    Append(reduced[a] ? axes.red : axes.kept, last == static_cast<int>(reduced[a]), shape[a], strides[a]);
    last = reduced[a];
  }
  for (Axes::List* list : {&axes.kept, &axes.red})
    if (list->dims.empty()) Append(*list, false, 1, 0);
  return axes;
}

void Run(Plan& p, const Reduction& op, const Tensor* x, const Tensor* y, const Axes& axes) {
  const Kind kind = KindOf(x->type);
  const int64_t count = Count(axes.red.dims), outputs = y->count();
  const bool innermost = axes.red.strides.back() == 1;
  const size_t bits = BitsOf(y->type);
  const bool own_word = bits >= 32 || y->type == DType::kF16;  // what y_put can write
  const bool team = own_word && count >= 32 && (innermost || outputs < 4096);
  const uint32_t wg = !team ? 64 : count >= 512 ? 256 : 64;
  const Bind out{"y", y};
  const char* type = kind == Kind::kFloat  ? op.float_type
                     : kind == Kind::kBool ? "u32"
                                           : ValueType(kind, false);
  p.Run({.shader = "reduce",
         .consts = {{"WG", wg},
                    {"TEAM", team},
                    {"KEPT", U32(static_cast<int64_t>(axes.kept.dims.size()))},
                    {"RED", U32(static_cast<int64_t>(axes.red.dims.size()))},
                    {"A", type},
                    {"X", ValueType(kind, false)},
                    {"WIDE", IsInt64(x->type)},
                    {"MATH", kind == Kind::kFloat},
                    {"VF", "f32"},
                    {"VU", "u32"},
                    {"VI", "i32"},
                    {"VB", "bool"},
                    {"code", Code{op.code[static_cast<size_t>(kind)]}}},
         .in = {{"x", x}},
         .out = {out},
         .params = {{"kept", ToInts(axes.kept.dims)},
                    {"kept_stride", ToInts(axes.kept.strides)},
                    {"red", ToInts(axes.red.dims)},
                    {"red_stride", ToInts(axes.red.strides)},
                    {"size", U32(outputs)},
                    {"count", U32(count)}},
         .grid = {team ? outputs : CeilDiv<int64_t>(CeilDiv<int64_t>(outputs, PerThread(out)), wg)}});
}

template <const Reduction& op>
void Reduce(Plan& p) {
  const Tensor* x = p.In(0);
  FixedVec<int64_t, 64> list;
  if (p.InCount() > 1 && p.In(1) != nullptr)
    list = HostInts(*p.In(1));
  else
    for (const int64_t axis : p.Attributes().Ints("axes")) list.push_back(axis);
  if (list.empty() && p.Attr("noop_with_empty_axes", 0) != 0)
    return p.Copy(x, p.Out(0, x->shape), x->bytes());

  FixedVec<bool, kMaxRank> reduced;
  reduced.resize(x->shape.size(), list.empty());
  for (const int64_t axis : list) reduced[WrapAxis(axis, x->shape.size())] = true;
  const bool keep = p.Attr("keepdims", 1) == 1;
  Shape shape;
  for (size_t a = 0; a < x->shape.size(); ++a) {
    if (!reduced[a])
      shape.push_back(x->shape[a]);
    else if (keep)
      shape.push_back(1);
  }
  Run(p, op, x, p.Out(0, shape), Split(x->shape, reduced));
}

#define NUMBERS "f32 f16 bf16 i32 u32 i64 u64"

// `axes` is an attribute before version `input` and an input from there on.
#define ROWS(name_, op, types_, input_)                                                    \
  {.name = name_, .until = input_ - 1, .types = "T: " types_, .plan = Reduce<op>}, {       \
    .name = name_, .since = input_, .types = "T: " types_, .plan = Reduce<op>, .host = "1" \
  }

const Register ops{
    ROWS("ReduceSum", kSum, NUMBERS, 13),
    ROWS("ReduceMean", kMean, NUMBERS, 18),
    ROWS("ReduceProd", kProd, NUMBERS, 18),
    ROWS("ReduceMax", kMax, NUMBERS " i8 u8 bool", 18),
    ROWS("ReduceMin", kMin, NUMBERS " i8 u8 bool", 18),
    ROWS("ReduceL1", kL1, NUMBERS, 18),
    ROWS("ReduceL2", kL2, "f32 f16 bf16", 18),
    ROWS("ReduceSumSquare", kSumSquare, NUMBERS, 18),
    ROWS("ReduceLogSum", kLogSum, "f32 f16 bf16", 18),
    ROWS("ReduceLogSumExp", kLogSumExp, "f32 f16 bf16", 18),
};

}  // namespace
}  // namespace daybreak
