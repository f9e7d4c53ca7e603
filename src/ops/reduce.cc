// ReduceSum and its kin: any axes, long reductions in two stages.
#include <algorithm>

#include "ops/lines.h"

namespace daybreak {
namespace {

// How one operator folds elements of one kind. A is the accumulator's type.
struct Folding {
  const char* map;     // fn map(v: x_v) -> A
  const char* merge;   // fn merge(a: A, b: A) -> A
  const char* start;   // fn start() -> A
  const char* finish;  // fn finish(a: A) -> y_v
};
struct Function {
  Folding by_kind[kKinds];
  bool pair = false;  // A is vec2<f32>: (maximum, sum of exponentials)
};

#define MAP(e) "fn map(v: x_v) -> A { return " e "; }"
#define MERGE(e) "fn merge(a: A, b: A) -> A { return " e "; }"
#define START(e) "fn start() -> A { return " e "; }"
#define FINISH(e) "fn finish(a: A) -> y_v { return " e "; }"

constexpr const char* kSame = MAP("v");
constexpr const char* kDone = FINISH("a");
constexpr const char* kFromPair = MAP("bitcast<A>(v)");
constexpr const char* kToPair = FINISH("bitcast<y_v>(a)");
constexpr const char* kZero = START("A(0)");
constexpr const char* kZero64 = START("A(0u, 0u)");
constexpr const char* kPlus = MERGE("a + b");
constexpr const char* kPlus64 = MERGE("add64(a, b)");

constexpr Function kSum{{{kSame, kPlus, kZero, kDone},
                         {kSame, kPlus, kZero, kDone},
                         {kSame, kPlus, kZero, kDone},
                         {kSame, kPlus64, kZero64, kDone},
                         {kSame, kPlus64, kZero64, kDone}}};
constexpr Function kMean{{{kSame, kPlus, kZero, FINISH("a / f32(params.count)")},
                          {kSame, kPlus, kZero, FINISH("a / i32(params.count)")},
                          {kSame, kPlus, kZero, FINISH("a / params.count")},
                          {kSame, kPlus64, kZero64, FINISH("div_i64(a, W64(params.count, 0u))")},
                          {kSame, kPlus64, kZero64, FINISH("div_u64(a, W64(params.count, 0u))")}}};
constexpr Function kProd{{{kSame, MERGE("a * b"), START("1.0"), kDone},
                          {kSame, MERGE("a * b"), START("1"), kDone},
                          {kSame, MERGE("a * b"), START("1u"), kDone},
                          {kSame, MERGE("mul64(a, b)"), START("A(1u, 0u)"), kDone},
                          {kSame, MERGE("mul64(a, b)"), START("A(1u, 0u)"), kDone}}};
// A NaN among the values is the result.
#define PICK(function) MERGE("select(select(" function "(a, b), b, is_nan(b)), a, is_nan(a))")
constexpr Function kMax{{{kSame, PICK("max"), START("-infinity()"), kDone},
                         {kSame, MERGE("max(a, b)"), START("-0x7fffffff - 1"), kDone},
                         {kSame, MERGE("max(a, b)"), START("0u"), kDone},
                         {kSame, MERGE("max_i64(a, b)"), START("A(0u, 0x80000000u)"), kDone},
                         {kSame, MERGE("max_u64(a, b)"), kZero64, kDone},
                         {MAP("A(v)"), MERGE("a | b"), START("0u"), kDone}}};
constexpr Function kMin{{{kSame, PICK("min"), START("infinity()"), kDone},
                         {kSame, MERGE("min(a, b)"), START("0x7fffffff"), kDone},
                         {kSame, MERGE("min(a, b)"), START("0xffffffffu"), kDone},
                         {kSame, MERGE("min_i64(a, b)"), START("A(0xffffffffu, 0x7fffffffu)"), kDone},
                         {kSame, MERGE("min_u64(a, b)"), START("A(0xffffffffu, 0xffffffffu)"), kDone},
                         {MAP("A(v)"), MERGE("a & b"), START("1u"), kDone}}};
constexpr Function kL1{{{MAP("abs(v)"), kPlus, kZero, kDone},
                        {MAP("abs(v)"), kPlus, kZero, kDone},
                        {kSame, kPlus, kZero, kDone},
                        {MAP("abs64(v)"), kPlus64, kZero64, kDone},
                        {kSame, kPlus64, kZero64, kDone}}};
constexpr Function kL2{{{MAP("v * v"), kPlus, kZero, FINISH("sqrt(a)")},
                        {MAP("v * v"), kPlus, kZero, FINISH("i32(sqrt(f32(a)))")},
                        {MAP("v * v"), kPlus, kZero, FINISH("u32(sqrt(f32(a)))")}}};
constexpr Function kSumSquare{{{MAP("v * v"), kPlus, kZero, kDone},
                               {MAP("v * v"), kPlus, kZero, kDone},
                               {MAP("v * v"), kPlus, kZero, kDone},
                               {MAP("mul64(v, v)"), kPlus64, kZero64, kDone},
                               {MAP("mul64(v, v)"), kPlus64, kZero64, kDone}}};
constexpr Function kLogSum{{{kSame, kPlus, kZero, FINISH("log_(a)")},
                            {kSame, kPlus, kZero, FINISH("y_v(log_(f32(a)))")},
                            {kSame, kPlus, kZero, FINISH("y_v(log_(f32(a)))")}}};
// Equal maxima are taken apart first, so that infinities do not make NaN.
constexpr const char* kMergePair =
    "fn weight(v: f32, top: f32) -> f32 { return select(exp_(v - top), 1.0, v == top); }\n"
    "fn merge(a: A, b: A) -> A {\n  let top = max(a.x, b.x);\n"
    "  return A(top, a.y * weight(a.x, top) + b.y * weight(b.x, top));\n}";
constexpr const char* kStartPair = START("A(-infinity(), 0.0)");
constexpr Function kLogSumExp{{{MAP("A(v, 1.0)"), kMergePair, kStartPair, FINISH("a.x + log_(a.y)")}}, true};

// The input's axes, neighbours of one kind merged, axes of size 1 left out; each kind has at least one.
struct Axes {
  Shape kept, kept_stride, reduced, reduced_stride;
  int64_t outputs = 1, dim = 1;
  bool contiguous = false;  // the innermost axis is reduced
};

Axes SplitAxes(const Shape& shape, const FixedVec<bool, kMaxRank>& is_reduced) {
  Axes axes;
  const Shape strides = StridesOf(shape);
  int last = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool r = is_reduced[i];
    (r ? axes.dim : axes.outputs) *= shape[i];
    if (shape[i] == 1) continue;
    Shape& size = r ? axes.reduced : axes.kept;
    Shape& stride = r ? axes.reduced_stride : axes.kept_stride;
    if (last == static_cast<int>(r)) {
      size.back() *= shape[i];
      stride.back() = strides[i];
    } else {
      size.push_back(shape[i]);
      stride.push_back(strides[i]);
    }
    last = r;
  }
  axes.contiguous = last != 0;
  for (Shape* size : {&axes.kept, &axes.reduced})
    if (size->empty()) {
      size->push_back(1);
      (size == &axes.kept ? axes.kept_stride : axes.reduced_stride).push_back(1);
    }
  return axes;
}

constexpr const char* kAccumulators[kKinds] = {"f32", "i32", "u32", "vec2<u32>", "vec2<u32>", "u32"};

void Issue(Plan& p, const Folding& folding, const char* accumulator, const Tensor* x, const Tensor* y,
           const Axes& axes, int64_t splits, int64_t count) {
  const bool vectors =
      HasVectors(x->type) && axes.contiguous && axes.reduced.size() == 1 && axes.dim % 4 == 0;
  const int64_t dim = vectors ? axes.dim / 4 : axes.dim;
  const LineTile tile = TileOf(p.Device(), axes.outputs * splits, CeilDiv(dim, splits), axes.contiguous);
  p.Run({.shader = "reduce",
         .consts = {{"LINES", tile.lines},
                    {"LANES", tile.lanes},
                    {"LANES_FIRST", tile.lanes_first},
                    {"KEPT", static_cast<uint32_t>(axes.kept.size())},
                    {"REDUCED", static_cast<uint32_t>(axes.reduced.size())},
                    {"LONG", IsInt64(x->type)},
                    {"VEC", vectors},
                    {"V4", ValueType(KindOf(x->type), vectors)},
                    {"A", accumulator},
                    {"VF", "f32"},
                    {"VU", "u32"},
                    {"VI", "i32"},
                    {"VB", "bool"},
                    {"map", Code{folding.map}},
                    {"merge", Code{folding.merge}},
                    {"start", Code{folding.start}},
                    {"finish", Code{folding.finish}}},
         .in = {{"x", x, vectors ? 4u : 1u}},
         .out = {{"y", y}},
         .params = {{"kept", ToInts(axes.kept)},
                    {"kept_stride", ToInts(axes.kept_stride)},
                    {"reduced", ToInts(axes.reduced)},
                    {"reduced_stride", ToInts(axes.reduced_stride)},
                    {"dim", U32(dim)},
                    {"piece", U32(CeilDiv(dim, splits))},
                    {"splits", U32(splits)},
                    {"lines", U32(axes.outputs * splits)},
                    {"count", U32(std::max<int64_t>(count, 1))}},
         .grid = tile.GridOf(axes.outputs * splits)});
}

// Pieces of each line, so that few long lines still fill the GPU.
int64_t SplitsOf(const Axes& axes) {
  constexpr int64_t kLines = 512, kShortest = 4096;
  if (axes.outputs >= kLines / 2 || axes.dim < 2 * kShortest) return 1;
  return std::min(CeilDiv<int64_t>(kLines, std::max<int64_t>(axes.outputs, 1)), axes.dim / kShortest);
}

void Fold(Plan& p, const Function& op, const Tensor* x, const Tensor* y,
          const FixedVec<bool, kMaxRank>& reduced) {
  const auto kind = static_cast<size_t>(KindOf(x->type));
  const Folding& folding = op.by_kind[kind];
  const char* accumulator = op.pair ? "vec2<f32>" : kAccumulators[kind];
  const Axes axes = SplitAxes(x->shape, reduced);
  const Tensor* wide = WideOutput(p, y);
  const int64_t splits = SplitsOf(axes);
  if (splits == 1) {
    Issue(p, folding, accumulator, x, wide, axes, 1, axes.dim);
  } else {
    const DType type = op.pair ? DType::kU64 : WideType(KindOf(x->type));
    const Tensor* pieces = p.Scratch(type, {axes.outputs, splits});
    Folding first = folding, second = folding;
    first.finish = op.pair ? kToPair : kDone;
    second.map = op.pair ? kFromPair : kSame;
    Issue(p, first, accumulator, x, pieces, axes, splits, axes.dim);
    FixedVec<bool, kMaxRank> last{false, true};
    Issue(p, second, accumulator, pieces, wide, SplitAxes(pieces->shape, last), 1, axes.dim);
  }
  Narrow(p, wide, y);
}

template <const Function& op>
void Reduce(Plan& p) {
  const Tensor* x = p.In(0);
  FixedVec<int64_t, 64> axes;
  for (const int64_t axis : p.Attributes().Ints("axes")) axes.push_back(axis);
  if (p.InCount() > 1 && p.In(1) != nullptr) axes = HostInts(*p.In(1));
  const bool all = axes.empty() && p.Attr("noop_with_empty_axes", 0) == 0;
  FixedVec<bool, kMaxRank> reduced;
  reduced.resize(x->shape.size(), all);
  for (const int64_t axis : axes) reduced[WrapAxis(axis, x->shape.size())] = true;
  const bool keep = p.Attr("keepdims", 1) == 1;
  Shape shape;
  for (size_t i = 0; i < x->shape.size(); ++i) {
    if (!reduced[i])
      shape.push_back(x->shape[i]);
    else if (keep)
      shape.push_back(1);
  }
  Fold(p, op, x, p.Out(0, shape), reduced);
}

#define FLOATS "f32 f16 bf16"
#define NUMBERS FLOATS " i32 u32 i64 u64"

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
    ROWS("ReduceL2", kL2, FLOATS " i32 u32", 18),
    ROWS("ReduceSumSquare", kSumSquare, NUMBERS, 18),
    ROWS("ReduceLogSum", kLogSum, FLOATS " i32 u32", 18),
    ROWS("ReduceLogSumExp", kLogSumExp, FLOATS, 18),
};

}  // namespace
}  // namespace daybreak
