// CumSum.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

void CumSum(Plan& p) {
  const Tensor *x = p.In(0), *axis = p.In(1);
  Check(axis->count() == 1, "CumSum: axis has ", axis->count(), " elements.");
  const Tensor* y = p.Out(0, x->shape);
  Check(!x->shape.empty(), "CumSum: x is a scalar.");
  const auto [outer, dim, stride] = SplitAt(x->shape, HostInts(*axis)[0]);
  if (y->count() == 0) return;
  p.Run({.shader = "scan",
         .consts = {{"WG", dim > 64 ? 256u : 64u},
                    {"A", ValueType(KindOf(x->type), false)},
                    {"EXCLUSIVE", p.Attr("exclusive", 0) != 0},
                    {"REVERSE", p.Attr("reverse", 0) != 0},
                    {"WIDE", IsInt64(x->type)}},
         .in = {{"x", x}},
         .out = {{"y", y}},
         .params = {{"lines", U32(outer * stride)}, {"dim", U32(dim)}, {"stride", U32(stride)}},
         .grid = {outer * stride}});
}

const Register ops{
    {.name = "CumSum", .since = 11, .types = "T: f32 f16 i32 u32 i64 u64", .plan = CumSum, .host = "1"},
};

}  // namespace
}  // namespace daybreak
