// Softmax and LogSoftmax: one axis, or before version 13 all axes from one on.
#include "core/op.h"

namespace daybreak {
namespace {

AxisSplit LinesOf(Plan& p, const Shape& shape) {
  if (p.Since() >= 13) return SplitAt(shape, p.Attr("axis", -1));
  const int64_t axis = p.Attr("axis", 1);
  const auto rank = static_cast<int64_t>(shape.size());
  const size_t at = axis == rank ? shape.size() : WrapAxis(axis, shape.size());
  return {Count(shape, 0, at), Count(shape, at, shape.size()), 1};
}

template <bool log>
void Softmax(Plan& p) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  if (x->count() == 0) return;
  const auto [outer, dim, stride] = LinesOf(p, x->shape);
  const int64_t lines = outer * stride;
  // Short lines and lines that neighbours share the cache of are a thread's; the rest a workgroup's.
  const bool team = dim > 16 && (stride < 16 || lines < 4096);
  const uint32_t wg = team && dim > 512 ? 256 : 64;
  p.Run({.shader = "softmax",
         .consts = {{"WG", wg}, {"TEAM", team}, {"LOG", log}},
         .in = {{"x", x}},
         .out = {{"y", y}},
         .params = {{"lines", U32(lines)}, {"dim", U32(dim)}, {"stride", U32(stride)}},
         .grid = {team ? lines : CeilDiv<int64_t>(lines, wg)}});
}

const Register ops{
    {.name = "Softmax", .types = "T: f32 f16", .plan = Softmax<false>},
    {.name = "LogSoftmax", .types = "T: f32 f16", .plan = Softmax<true>},
};

}  // namespace
}  // namespace daybreak
