#include "ops/lines.h"

namespace daybreak {
namespace {

constexpr const char* kGreater = "fn better(a: x_v, b: x_v) -> bool { return a > b; }";
constexpr const char* kLess = "fn better(a: x_v, b: x_v) -> bool { return a < b; }";
constexpr const char* kGreater64[] = {"fn better(a: x_v, b: x_v) -> bool { return less_i64(b, a); }",
                                      "fn better(a: x_v, b: x_v) -> bool { return less_u64(b, a); }"};
constexpr const char* kLess64[] = {"fn better(a: x_v, b: x_v) -> bool { return less_i64(a, b); }",
                                   "fn better(a: x_v, b: x_v) -> bool { return less_u64(a, b); }"};

void Position(Plan& p, bool largest) {
  const Tensor* x = p.In(0);
  const int64_t axis = p.Attr("axis", 0);
  const AxisSplit split = x->shape.empty() ? AxisSplit{1, 1, 1} : SplitAt(x->shape, axis);
  Shape shape = x->shape;
  if (!shape.empty()) {
    const size_t at = WrapAxis(axis, shape.size());
    if (p.Attr("keepdims", 1) == 1)
      shape[at] = 1;
    else
      shape.erase(at);
  }
  const Tensor* y = p.Out(0, shape);
  const int64_t lines = split.outer * split.stride;
  Check(split.dim > 0 || lines == 0, "The axis ", axis, " of shape ", ToString(x->shape),
        " is empty: nothing to find.");
  if (lines == 0) return;
  const LineTile tile = TileOf(p.Device(), lines, split.dim, split.stride == 1);
  const size_t is_unsigned = x->type == DType::kU64;
  const char* better = IsInt64(x->type) ? (largest ? kGreater64 : kLess64)[is_unsigned]
                       : largest        ? kGreater
                                        : kLess;
  p.Run({.shader = "arg",
         .consts = {{"LINES", tile.lines},
                    {"LANES", tile.lanes},
                    {"LANES_FIRST", tile.lanes_first},
                    {"LAST", p.Attr("select_last_index", 0) != 0},
                    {"LONG", IsInt64(x->type)},
                    {"better", Code{better}}},
         .in = {{"x", x}},
         .out = {{"y", y}},
         .params = {{"dim", U32(split.dim)}, {"stride", U32(split.stride)}, {"lines", U32(lines)}},
         .grid = tile.GridOf(lines)});
}

void ArgMax(Plan& p) { Position(p, true); }
void ArgMin(Plan& p) { Position(p, false); }

const Register ops{
    {.name = "ArgMax", .types = "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16", .plan = ArgMax},
    {.name = "ArgMin", .types = "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16", .plan = ArgMin},
};

}  // namespace
}  // namespace daybreak
