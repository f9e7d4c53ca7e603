// Slice: parts of a tensor along axes.
#include <algorithm>

#include "ops/move.h"

namespace daybreak {
namespace {

using List = FixedVec<int64_t, 64>;

// Input i on the CPU, or the attribute that older versions have in its place.
List ListOf(Plan& p, size_t i, const char* attribute) {
  if (i < p.InCount() && p.In(i) != nullptr) return HostInts(*p.In(i));
  const std::vector<int64_t> list = p.Attributes().Ints(attribute);
  return {list.begin(), list.end()};
}

// What one axis takes: `count` elements from `first`, `step` apart.
struct Range {
  int64_t first, count, step;
};

// ONNX's clamp rules: a negative bound counts from the back; then a forward walk stays in [0, dim], a
// backward walk starts at dim - 1 at most and ends before 0 at the earliest.
Range RangeOf(int64_t start, int64_t end, int64_t step, int64_t dim) {
  Check(step != 0, "Slice: a step is 0.");
  if (dim == 0) return {0, 0, 1};
  step = std::clamp(step, -dim, dim);  // longer steps leave the axis as well
  const auto bound = [dim](int64_t at, int64_t low, int64_t high) {
    return std::clamp(at < 0 ? at + dim : at, low, high);
  };
  if (step > 0) {
    const int64_t first = bound(start, 0, dim), last = bound(end, 0, dim);
    return {first, last > first ? (last - first - 1) / step + 1 : 0, step};
  }
  const int64_t first = bound(start, 0, dim - 1), last = bound(end, -1, dim - 1);
  return {first, first > last ? (first - last - 1) / -step + 1 : 0, step};
}

void Slice(Plan& p) {
  const Tensor* x = p.In(0);
  const List starts = ListOf(p, 1, "starts"), ends = ListOf(p, 2, "ends");
  List axes = ListOf(p, 3, "axes"), steps = ListOf(p, 4, "");
  if (axes.empty())
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (steps.empty()) steps.resize(starts.size(), 1);
  Check(ends.size() == starts.size() && axes.size() == starts.size() && steps.size() == starts.size(),
        "Slice: starts, ends, axes and steps differ in length.");

  const Shape strides = StridesOf(x->shape);
  Shape shape = x->shape;
  Axes walk;
  for (size_t i = 0; i < shape.size(); ++i) walk.push_back({shape[i], strides[i]});
  int64_t base = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t at = WrapAxis(axes[i], shape.size());
    const Range range = RangeOf(starts[i], ends[i], steps[i], x->shape[at]);
    shape[at] = range.count;
    walk[at] = {range.count, range.step * strides[at]};
    base += range.first * strides[at];
  }
  Strided(p, x, p.Out(0, shape), walk, base);
}

const Register ops{
    {.name = "Slice", .until = 9, .plan = Slice},
    {.name = "Slice", .since = 10, .plan = Slice, .host = "1 2 3 4"},
};

}  // namespace
}  // namespace daybreak
