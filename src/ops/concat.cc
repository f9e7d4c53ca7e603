// Concat: any number of inputs, as many in one dispatch as the device binds.
#include <algorithm>
#include <array>

#include "ops/move.h"

namespace daybreak {
namespace {

constexpr size_t kMaxInputs = 7;  // of one dispatch; also the cases in concat.wgsl
constexpr std::array<const char*, kMaxInputs> kNames{"x0", "x1", "x2", "x3", "x4", "x5", "x6"};
constexpr std::array<const char*, kMaxInputs> kHas{"X0", "X1", "X2", "X3", "X4", "X5", "X6"};

// Elements of each input in one of y's `outer` lines.
struct Lines {
  std::vector<const Tensor*> x;
  std::vector<int64_t> length;
  int64_t outer = 1, total = 0;
};

Unit UnitOfLines(const Lines& lines, DType type) {
  int64_t bits = 0;
  for (const int64_t n : lines.length) bits |= n;  // the lowest set bit is that of the least aligned length
  return UnitOf(type, {bits});
}

// Writes inputs [from, to), which start at element `start` of each line.
void Join(Plan& p, const Tensor* y, const Lines& lines, const Unit& unit, size_t from, size_t to,
          int64_t start) {
  const bool partial = to - from < lines.x.size();
  Dispatch d = MoveTo("concat", y, unit, partial);
  Ints ends;
  int64_t span = 0;
  for (size_t k = 0; k < kMaxInputs; ++k) d.consts.push_back({kHas[k], from + k < to});
  for (size_t k = from; k < to; ++k) {
    d.in.push_back({kNames[k - from], lines.x[k], unit.width, View::kWords});
    span += lines.length[k];
    ends.push_back(U32(span / unit.elements));
  }
  d.consts.push_back({"PARTIAL", partial});
  if (partial && unit.words()) {  // each unit is one input's, so the threads walk the span only
    const int64_t units = lines.outer * span / unit.elements;
    d.params.clear();
    d.params.push_back({"size", U32(units)});
    d.grid = {CeilDiv(units, kMoveGroup)};
  }
  d.params.push_back({"ends", ends});
  d.params.push_back({"start", U32(start / unit.elements)});
  d.params.push_back({"span", U32(span / unit.elements)});
  d.params.push_back({"line", U32(lines.total / unit.elements)});
  p.Run(d);
}

Lines LinesOf(Plan& p, size_t axis, Shape& shape) {
  Lines lines;
  for (size_t i = 0; i < p.InCount(); ++i) {
    const Tensor* x = p.In(i);
    Check(x != nullptr, "Concat: input ", i, " is missing.");
    Shape expected = shape;
    Check(x->shape.size() == shape.size(), "Concat: input ", i, " is ", ToString(x->shape),
          ", input 0 has rank ", shape.size(), ".");
    expected[axis] = x->shape[axis];
    Check(x->shape == expected, "Concat: input ", i, " is ", ToString(x->shape), ", not ", ToString(expected),
          ".");
    const auto [outer, dim, stride] = SplitAt(x->shape, static_cast<int64_t>(axis));
    lines.outer = outer;
    if (x->count() == 0) continue;
    lines.x.push_back(x);
    lines.length.push_back(dim * stride);
    lines.total += dim * stride;
  }
  return lines;
}

void Concat(Plan& p) {
  Check(p.InCount() > 0 && p.In(0) != nullptr, "Concat: input 0 is missing.");
  Shape shape = p.In(0)->shape;
  const size_t axis = WrapAxis(p.Attr("axis", 1), shape.size());  // version 1 has the default 1
  const Lines lines = LinesOf(p, axis, shape);
  shape[axis] = 0;
  for (size_t i = 0; i < p.InCount(); ++i) shape[axis] += p.In(i)->shape[axis];
  const Tensor* y = p.Out(0, shape);
  const Unit unit = UnitOfLines(lines, y->type);
  const DeviceInfo& device = p.Device();
  int64_t start = 0;
  for (size_t from = 0, to = 0; from < lines.x.size(); from = to) {
    // At least one input, and as many as the device binds.
    uint64_t bindings = device.bindings(y->bytes());
    do {
      bindings += device.bindings(lines.x[to++]->bytes());
    } while (to < std::min<size_t>(lines.x.size(), from + kMaxInputs) &&
             bindings + device.bindings(lines.x[to]->bytes()) <= device.max_storage_buffers);
    Join(p, y, lines, unit, from, to, start);
    for (size_t k = from; k < to; ++k) start += lines.length[k];
  }
}

const Register ops{
    {.name = "Concat", .plan = Concat},
};

}  // namespace
}  // namespace daybreak
