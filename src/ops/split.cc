// Split: parts of a tensor along one axis, as many in one dispatch as the device binds.
#include <algorithm>
#include <array>

#include "ops/move.h"

namespace daybreak {
namespace {

using List = FixedVec<int64_t, 64>;

constexpr size_t kMaxOutputs = 7;  // of one dispatch; also the cases in split.wgsl
// One dispatch saves launches, but writes through a choice of buffers, at three quarters of the rate of one
// buffer.
constexpr size_t kMostTogether = 16u << 20;
constexpr std::array<const char*, kMaxOutputs> kNames{"y0", "y1", "y2", "y3", "y4", "y5", "y6"};
constexpr std::array<const char*, kMaxOutputs> kHas{"Y0", "Y1", "Y2", "Y3", "Y4", "Y5", "Y6"};

// Input 1 on the CPU, or the attribute that older versions have in its place.
List GivenParts(Plan& p) {
  if (p.InCount() > 1 && p.In(1) != nullptr) return HostInts(*p.In(1));
  const std::vector<int64_t> list = p.Attributes().Ints("split");
  return {list.begin(), list.end()};
}

// Sizes of the parts: given, or equal with a smaller last one (from version 18; exact before).
List PartsOf(Plan& p, int64_t dim) {
  List parts = GivenParts(p);
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

// The outputs, in part nullptr, and the elements of each in one of x's `outer` lines.
struct Parts {
  std::vector<const Tensor*> y;
  std::vector<int64_t> length;
  int64_t outer, total;
};

// Hands out parts [from, to), which start at element `start` of each line.
void Deal(Plan& p, const Tensor* x, const Parts& parts, const Unit& unit, size_t from, size_t to,
          int64_t start) {
  Dispatch d{.shader = "split", .in = {{"x", x, unit.width, View::kWords}}};
  Ints ends;
  int64_t span = 0;
  for (size_t k = 0; k < kMaxOutputs; ++k) d.consts.push_back({kHas[k], from + k < to && parts.y[from + k]});
  for (size_t k = from; k < to; ++k) {
    if (parts.y[k]) d.out.push_back({kNames[k - from], parts.y[k], unit.width, View::kWords});
    span += parts.length[k];
    ends.push_back(U32(span / unit.elements));
  }
  const int64_t units = parts.outer * span / unit.elements;
  d.params = {{"ends", ends},
              {"size", U32(units)},
              {"start", U32(start / unit.elements)},
              {"span", U32(span / unit.elements)},
              {"line", U32(parts.total / unit.elements)}};
  d.grid = {CeilDiv(units, kMoveGroup)};
  if (!d.out.empty()) p.Run(d);
}

void Split(Plan& p) {
  const Tensor* x = p.In(0);
  const size_t axis = WrapAxis(p.Attr("axis", 0), x->shape.size());
  const auto [outer, dim, stride] = SplitAt(x->shape, static_cast<int64_t>(axis));
  Parts parts{.outer = outer, .total = dim * stride};
  int64_t bits = 0;
  for (const int64_t part : PartsOf(p, dim)) {
    Shape shape = x->shape;
    shape[axis] = part;
    parts.y.push_back(p.Out(parts.y.size(), shape));
    parts.length.push_back(part * stride);
    bits |= part * stride;  // the lowest set bit is that of the least aligned length
  }
  if (x->count() == 0) return;
  const Unit unit = UnitOf(x->type, {bits});
  const bool together = unit.words() && x->bytes() <= kMostTogether;
  const size_t most = together ? std::min<size_t>(kMaxOutputs, p.Device().max_storage_buffers - 1) : 1;
  int64_t start = 0;
  for (size_t from = 0; from < parts.y.size(); from += most) {
    const size_t to = std::min(from + most, parts.y.size());
    if (together)
      Deal(p, x, parts, unit, from, to, start);
    else if (parts.y[from])
      Strided(p, x, parts.y[from], {{outer, parts.total}, {parts.length[from], 1}}, start);
    for (size_t k = from; k < to; ++k) start += parts.length[k];
  }
}

std::string Declines(const NodeView& n) {
  return n.out.size() > List::capacity() ? Join(n.out.size(), " outputs; the kernel takes 64") : "";
}

const Register ops{
    {.name = "Split", .until = 1, .plan = Split, .declines = Declines, .host = "1"},
    {.name = "Split", .since = 2, .until = 12, .plan = Split, .declines = Declines},
    {.name = "Split", .since = 13, .plan = Split, .declines = Declines, .host = "1"},
};

}  // namespace
}  // namespace daybreak
