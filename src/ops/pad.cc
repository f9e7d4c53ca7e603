// Pad: constant, reflect, edge and wrap; negative pads crop.
#include <algorithm>
#include <array>

#include "ops/move.h"

namespace daybreak {
namespace {

enum Mode : uint32_t { kConstant, kReflect, kEdge, kWrap };

Mode ModeOf(const std::string& name) {
  constexpr std::array<const char*, 4> kNames{"constant", "reflect", "edge", "wrap"};
  for (uint32_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<Mode>(i);
  Fail("Pad: mode is '", name, "', not constant, reflect, edge or wrap.");
}

// One axis: `from` elements of x after cropping, `before` pads in front of them, `size` elements of y.
struct Line {
  int64_t from, before, size, stride;
};
using Pads = FixedVec<int64_t, 64>;

// Pads as [begins..., ends...] for the axes of `axes` (all without it).
Pads PadsOf(Plan& p) {
  if (p.InCount() > 1) return HostInts(*p.In(1));
  const std::vector<int64_t> pads = p.Attributes().Ints(p.Since() == 1 ? "paddings" : "pads");
  return {pads.begin(), pads.end()};
}

// The bits of the value that fills, repeated up to 64 bits.
uint64_t ValueOf(Plan& p, DType type) {
  if (p.InCount() == 1) {
    const float value = p.Attr("value", 0.0f);
    Check(value == 0.0f || type == DType::kF32, "Pad: the attribute `value` is ", value,
          " for a type other than f32.");
    return PatternOf(DType::kF32, &value);
  }
  const Tensor* value = p.InCount() > 2 ? p.In(2) : nullptr;
  if (value == nullptr || value->count() == 0) return 0;
  Check(value->host != nullptr, "Pad: the constant value is on the device.");
  return PatternOf(type, value->host);
}

// Shapes y; `base` is the first element of x that is not cropped away.
FixedVec<Line, kMaxRank> LinesOf(Plan& p, const Tensor* x, Shape& shape, int64_t& base) {
  const Shape strides = StridesOf(x->shape);
  FixedVec<Line, kMaxRank> lines;
  for (size_t i = 0; i < shape.size(); ++i) lines.push_back({shape[i], 0, shape[i], strides[i]});
  const Pads pads = PadsOf(p);
  Pads axes;
  if (p.InCount() > 3 && p.In(3) != nullptr)
    axes = HostInts(*p.In(3));
  else
    for (size_t i = 0; i < shape.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  Check(pads.size() == 2 * axes.size(), "Pad: ", pads.size(), " pads for ", axes.size(), " axes.");
  for (size_t k = 0; k < axes.size(); ++k) {
    const size_t i = WrapAxis(axes[k], shape.size());
    const int64_t begin = pads[k], end = pads[axes.size() + k];
    constexpr int64_t kMost = int64_t{1} << 32;  // sums stay far from overflow; larger tensors do not exist
    Check(begin > -kMost && begin < kMost && end > -kMost && end < kMost, "Pad: axis ", i, " has pads ",
          begin, " and ", end, ".");
    shape[i] += begin + end;
    Check(shape[i] >= 0, "Pad: axis ", i, " of ", ToString(x->shape), " would have ", shape[i], " elements.");
    Line& line = lines[i];
    base += std::max<int64_t>(-begin, 0) * line.stride;
    line.from = x->shape[i] + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0);
    line.before = std::max<int64_t>(begin, 0);
    line.size = shape[i];
  }
  return lines;
}

// Joins neighbours: an axis that is taken whole moves with the one outside it.
FixedVec<Line, kMaxRank> Merge(const FixedVec<Line, kMaxRank>& lines, const Shape& x_shape, Mode mode) {
  FixedVec<Line, kMaxRank> out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    const bool whole = line.before == 0 && line.size == line.from && line.from == x_shape[i];
    const bool outer_whole = !out.empty() && out.back().before == 0 && out.back().size == out.back().from;
    // Mirrored and repeated coordinates are per axis, constants only need the range.
    if (whole && !out.empty() && (mode == kConstant || outer_whole) && line.from > 0) {
      Line& outer = out.back();
      outer = {outer.from * line.from, outer.before * line.from, outer.size * line.size, line.stride};
    } else {
      out.push_back(line);
    }
  }
  if (out.empty()) out.push_back({1, 0, 1, 1});
  return out;
}

void Pad(Plan& p) {
  const Tensor* x = p.In(0);
  const Mode mode = ModeOf(p.Attr("mode", "constant"));
  Shape shape = x->shape;
  int64_t base = 0;
  auto lines = LinesOf(p, x, shape, base);
  const Tensor* y = p.Out(0, shape);
  if (y->count() == 0) return;
  const uint64_t value = mode == kConstant ? ValueOf(p, x->type) : 0;
  if (std::any_of(lines.begin(), lines.end(), [](const Line& l) { return l.from <= 0; })) {
    Check(mode == kConstant, "Pad: an axis of ", ToString(x->shape), " has no element to repeat.");
    return Fill(p, y, static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32));
  }
  lines = Merge(lines, x->shape, mode);

  // Wider than a word only where the filling repeats in it; the innermost axis decides on the width.
  const Line& inner = lines.back();
  const bool whole = inner.before == 0 && inner.size == inner.from;
  int64_t strides = base;
  for (size_t k = 0; k + 1 < lines.size(); ++k) strides |= lines[k].stride;
  const bool straight = mode == kConstant || whole;
  const Unit unit =
      straight ? UnitOf(x->type, {inner.from, inner.before, inner.size, strides}) : UnitOf(x->type, {1});
  Ints dims, extents, before, steps;
  for (size_t k = 0; k < lines.size(); ++k) {
    const int64_t scale = k + 1 == lines.size() ? unit.elements : 1;
    dims.push_back(U32(lines[k].size / scale));
    extents.push_back(U32(lines[k].from / scale));
    before.push_back(U32(lines[k].before / scale));
    steps.push_back(U32(k + 1 == lines.size() ? 1 : lines[k].stride / unit.elements));
  }
  Dispatch d = MoveOf("pad", x, y, unit);
  d.consts.push_back({"RANK", static_cast<uint32_t>(lines.size())});
  d.consts.push_back({"MODE", static_cast<uint32_t>(mode)});
  d.consts.push_back({"FOUR", unit.width == 4});
  d.params.push_back({"dims", dims});
  d.params.push_back({"extents", extents});
  d.params.push_back({"before", before});
  d.params.push_back({"strides", steps});
  d.params.push_back({"base", U32(base / unit.elements)});
  d.params.push_back({"low", static_cast<uint32_t>(value)});
  d.params.push_back({"high", static_cast<uint32_t>(value >> 32)});
  p.Run(d);
}

std::string Declines(const NodeView& n) {
  const float value = n.Attr("value", 0.0f);
  if (n.since < 11 && value != 0.0f && n.Has(0) && n.in[0].type != DType::kF32)
    return "the attribute `value` is supported for f32 only";
  return "";
}

const Register ops{
    {.name = "Pad", .until = 10, .plan = Pad, .declines = Declines},
    {.name = "Pad", .since = 11, .plan = Pad, .host = "1 2 3"},
    {.domain = "com.microsoft", .name = "Pad", .plan = Pad, .host = "1 2"},
};

}  // namespace
}  // namespace daybreak
