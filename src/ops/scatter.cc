// ScatterND, ScatterElements and Scatter. Deterministic: where several updates meet one place, the last one
// wins, and reductions take them in order. An index outside [-dim, dim) drops its update.
//
// A place is what one index addresses: a slice of `inner` elements (ScatterND) or one element. One thread an
// update notes its number at its place (`head`, 0 for none, else number + 1), reductions as a linked list;
// then the output is written in one pass, each element from its place.
#include <array>

#include "ops/move.h"

namespace daybreak {
namespace {

enum Reduction : uint32_t { kNone, kAdd, kMul, kMin, kMax };

Reduction ReductionOf(const std::string& name) {
  constexpr std::array<const char*, 5> kNames{"none", "add", "mul", "min", "max"};
  for (uint32_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<Reduction>(i);
  Fail("Reduction is '", name, "', not none, add, mul, min or max.");
}

// How an update finds its place: its coordinates in `walk` give a start, its indices a step along each of
// `bounds`.
struct Places {
  Axes walk;
  Ints bounds, steps;   // of the indexed axes
  int64_t updates = 0;  // updates (slices or elements)
  int64_t count = 0;    // places
  int64_t inner = 1;    // elements of a place
};

// head[place] = number + 1 of its last update, or, with `next`, of the first in its list.
void Link(Plan& p, const Places& places, const Tensor* indices, const Tensor* head, const Tensor* next) {
  Ints dims, strides;
  for (const Axis& a : places.walk) {
    dims.push_back(U32(a.size));
    strides.push_back(U32(a.stride));
  }
  Dispatch d{.shader = "scatter_link",
             .consts = {{"INDEX_WORDS", IndexWords(*indices)},
                        {"RANK", static_cast<uint32_t>(places.walk.size())},
                        {"DEPTH", static_cast<uint32_t>(places.bounds.size())},
                        {"LISTS", next != nullptr}},
             .in = {{"indices", indices, 1, View::kWords}},
             .out = {{"head", head, 1, View::kAtomic}},
             .params = {{"dims", dims},
                        {"strides", strides},
                        {"bounds", places.bounds},
                        {"steps", places.steps},
                        {"updates", U32(places.updates)}},
             .grid = {CeilDiv(places.updates, kMoveGroup)}};
  if (next != nullptr) d.out.push_back({"next", next, 1, View::kWords});
  p.Run(d);
}

void Replace(Plan& p, const Tensor* y, const Tensor* updates, const Places& places, const Tensor* head) {
  const Unit unit = UnitOf(y->type, {places.inner});
  Dispatch d = MoveOf("scatter", p.In(0), y, unit);
  d.in.push_back({"updates", updates, unit.width, unit.view});
  d.in.push_back({"head", head});
  d.params.push_back({"inner", U32(places.inner / unit.elements)});
  p.Run(d);
}

void Reduce(Plan& p, const Tensor* y, const Tensor* updates, const Places& places, const Tensor* head,
            const Tensor* next, Reduction reduction) {
  // Only rounding makes the order matter.
  if (IsFloat(y->type) && (reduction == kAdd || reduction == kMul))
    p.Run({.shader = "scatter_sort",
           .in = {},
           .out = {{"head", head}, {"next", next}},
           .params = {{"places", U32(places.count)}},
           .grid = {CeilDiv(places.count, kMoveGroup)}});
  const Bind out{"y", y};
  p.Run({.shader = "scatter_reduce",
         .consts = {{"OP", static_cast<uint32_t>(reduction)},
                    {"WIDE", IsInt64(y->type)},
                    {"SIGNED", y->type == DType::kI64},
                    {"BOOL", y->type == DType::kBool}},
         .in = {{"x", p.In(0)}, {"updates", updates}, {"head", head}, {"next", next}},
         .out = {out},
         .params = {{"size", U32(y->count())}, {"inner", U32(places.inner)}},
         .grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y->count(), PerThread(out)), kMoveGroup)}});
}

void Scatter(Plan& p, const Places& places, Reduction reduction) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  if (y->count() == 0) return;
  const Tensor* head = p.Scratch(DType::kU32, {places.count});
  const Tensor* next = reduction == kNone ? nullptr : p.Scratch(DType::kU32, {places.updates});
  Fill(p, head, 0, 0);
  Link(p, places, p.In(1), head, next);
  if (reduction == kNone)
    Replace(p, y, p.In(2), places, head);
  else
    Reduce(p, y, p.In(2), places, head, next, reduction);
}

void ScatterND(Plan& p) {
  const Shape& shape = p.In(0)->shape;
  const Shape& indices = p.In(1)->shape;
  Check(!indices.empty() && indices.back() <= static_cast<int64_t>(shape.size()), "ScatterND: indices ",
        ToString(indices), " into ", ToString(shape), ".");
  const auto depth = static_cast<size_t>(indices.back());
  Shape expected(indices.begin(), indices.end() - 1);
  for (size_t i = depth; i < shape.size(); ++i) expected.push_back(shape[i]);
  Check(p.In(2)->shape == expected, "ScatterND: updates are ", ToString(p.In(2)->shape), ", not ",
        ToString(expected), ".");
  Places places{.walk = {{1, 0}},
                .updates = Count(indices, 0, indices.size() - 1),
                .count = Count(shape, 0, depth),
                .inner = Count(shape, depth, shape.size())};
  const Shape strides = StridesOf(Shape(shape.begin(), shape.begin() + depth));
  for (size_t i = 0; i < depth; ++i) {
    places.bounds.push_back(U32(shape[i]));
    places.steps.push_back(U32(strides[i]));
  }
  Scatter(p, places, ReductionOf(p.Attr("reduction", "none")));
}

void ScatterElements(Plan& p) {
  const Shape& shape = p.In(0)->shape;
  const Shape& indices = p.In(1)->shape;
  Check(indices.size() == shape.size() && p.In(2)->shape == indices, "ScatterElements: data ",
        ToString(shape), ", indices ", ToString(indices), " and updates ", ToString(p.In(2)->shape),
        " do not fit together.");
  const size_t axis = WrapAxis(p.Attr("axis", 0), shape.size());
  const Shape strides = StridesOf(shape);
  Places places{.bounds = {U32(shape[axis])},
                .steps = {U32(strides[axis])},
                .updates = Count(indices),
                .count = Count(shape)};
  for (size_t i = 0; i < shape.size(); ++i) {
    Check(i == axis || indices[i] <= shape[i], "ScatterElements: indices ", ToString(indices),
          " go beyond data ", ToString(shape), ".");
    places.walk.push_back({indices[i], i == axis ? 0 : strides[i]});
  }
  places.walk = Merged(places.walk);
  Scatter(p, places, ReductionOf(p.Attr("reduction", "none")));
}

std::string Declines(const NodeView& n) {
  if (n.attrs.String("reduction", "none") != "none" && n.Has(0) && n.in[0].type == DType::kF64)
    return "reductions of f64 have no kernel";
  return "";
}

const Register ops{
    {.name = "ScatterND", .since = 11, .plan = ScatterND, .declines = Declines},
    {.name = "ScatterElements", .since = 11, .plan = ScatterElements, .declines = Declines},
    {.name = "Scatter", .since = 9, .until = 11, .plan = ScatterElements},
};

}  // namespace
}  // namespace daybreak
