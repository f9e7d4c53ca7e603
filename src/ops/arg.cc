// ArgMax and ArgMin.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

template <bool least>
void Arg(Plan& p) {
  const Tensor* x = p.In(0);
  const size_t axis = WrapAxis(p.Attr("axis", 0), x->shape.size());
  const auto [outer, dim, stride] = SplitAt(x->shape, static_cast<int64_t>(axis));
  Check(dim > 0, "Axis ", axis, " of ", ToString(x->shape), " has no elements to choose from.");
  Shape shape = x->shape;
  if (p.Attr("keepdims", 1) == 1)
    shape[axis] = 1;
  else
    shape.erase(axis);
  const Tensor* y = p.Out(0, shape);
  if (y->count() == 0) return;
  const Kind kind = KindOf(x->type);
  p.Run({.shader = "arg",
         .consts = {{"WG", dim > 256 ? 256u : 32u},
                    {"LEAST", least},
                    {"LAST", p.Attr("select_last_index", 0) != 0},
                    {"X", ValueType(kind, false)},
                    {"WIDE", IsInt64(x->type)},
                    {"SIGNED", x->type == DType::kI64},
                    {"FLOATS", kind == Kind::kFloat}},
         .in = {{"x", x}},
         .out = {{"y", y}},
         .params = {{"lines", U32(outer * stride)}, {"dim", U32(dim)}, {"stride", U32(stride)}},
         .grid = {outer * stride}});
}

const Register ops{
    {.name = "ArgMax", .types = "T: f32 f16 bf16 i8 u8 i16 u16 i32 u32 i64 u64", .plan = Arg<false>},
    {.name = "ArgMin", .types = "T: f32 f16 bf16 i8 u8 i16 u16 i32 u32 i64 u64", .plan = Arg<true>},
};

}  // namespace
}  // namespace daybreak
