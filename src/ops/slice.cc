// Slice and Split: parts of a tensor along axes.
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

// Sizes of the parts: given, or equal with a smaller last one (from version 18; exact before).
List PartsOf(Plan& p, int64_t dim) {
  List parts = ListOf(p, 1, "split");
  if (parts.empty()) {
    const auto n = static_cast<int64_t>(p.OutCount());
    Check(p.Since() >= 18 || dim % n == 0, "Split: ", dim, " elements do not divide into ", n,
          " equal parts.");
    const int64_t each = CeilDiv(dim, n);
    for (int64_t i = 0; i < n; ++i) parts.push_back(std::clamp<int64_t>(dim - i * each, 0, each));
  }
  int64_t sum = 0;
  for (const int64_t part : parts) {
    Check(part >= 0, "Split: a part has ", part, " elements.");
    sum += part;
  }
  Check(sum == dim, "Split: the parts have ", sum, " elements, the axis has ", dim, ".");
  Check(parts.size() == p.OutCount(), "Split: ", parts.size(), " parts for ", p.OutCount(), " outputs.");
  return parts;
}

void Split(Plan& p) {
  const Tensor* x = p.In(0);
  const int64_t axis = p.Attr("axis", 0);
  const auto [outer, dim, stride] = SplitAt(x->shape, axis);
  int64_t first = 0;
  const List parts = PartsOf(p, dim);
  for (size_t i = 0; i < parts.size(); ++i) {
    Shape shape = x->shape;
    shape[WrapAxis(axis, shape.size())] = parts[i];
    const Tensor* y = p.Out(i, shape);
    if (y != nullptr) Strided(p, x, y, {{outer, dim * stride}, {parts[i] * stride, 1}}, first * stride);
    first += parts[i];
  }
}

const Register ops{
    {.name = "Slice", .until = 9, .plan = Slice},
    {.name = "Slice", .since = 10, .plan = Slice, .host = "1 2 3 4"},
    {.name = "Split", .until = 1, .plan = Split, .host = "1"},
    {.name = "Split", .since = 2, .until = 12, .plan = Split},
    {.name = "Split", .since = 13, .plan = Split, .host = "1"},
};

}  // namespace
}  // namespace daybreak
