// Softmax, LogSoftmax, Hardmax. Before opset 13 all axes from `axis` on (default 1) form one line.
#include "ops/lines.h"

namespace daybreak {
namespace {

void AlongLines(Plan& p, bool hard, bool log) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  AxisSplit split{1, 1, 1};
  if (p.Since() < 13) {
    const auto rank = static_cast<int64_t>(x->shape.size());
    const int64_t axis = p.Attr("axis", 1);
    const size_t at = axis == rank ? x->shape.size() : WrapAxis(axis, x->shape.size());
    split = {Count(x->shape, 0, at), Count(x->shape, at, x->shape.size()), 1};
  } else if (!x->shape.empty()) {
    split = SplitAt(x->shape, p.Attr("axis", -1));
  }
  if (x->count() == 0) return;
  const int64_t lines = split.outer * split.stride;
  const bool vectors = HasVectors(x->type) && !hard && split.stride == 1 && split.dim % 4 == 0;
  const uint32_t width = vectors ? 4 : 1;
  const LineTile tile = TileOf(p.Device(), lines, split.dim / width, split.stride == 1);
  const Tensor* wide = WideOutput(p, y);
  p.Run({.shader = "softmax",
         .consts = {{"LINES", tile.lines},
                    {"LANES", tile.lanes},
                    {"LANES_FIRST", tile.lanes_first},
                    {"HARD", hard},
                    {"LOG", log},
                    {"VEC", vectors},
                    {"VF", ValueType(Kind::kFloat, vectors)},
                    {"VU", ValueType(Kind::kUint, vectors)},
                    {"VI", ValueType(Kind::kInt, vectors)},
                    {"VB", ValueType(Kind::kBool, vectors)}},
         .in = {{"x", x, width}},
         .out = {{"y", wide, width}},
         .params = {{"dim", U32(split.dim / width)}, {"stride", U32(split.stride)}, {"lines", U32(lines)}},
         .grid = tile.GridOf(lines)});
  Narrow(p, wide, y);
}

void Softmax(Plan& p) { AlongLines(p, false, false); }
void LogSoftmax(Plan& p) { AlongLines(p, false, true); }
void Hardmax(Plan& p) { AlongLines(p, true, false); }

const Register ops{
    {.name = "Softmax", .types = "T: f32 f16 bf16", .plan = Softmax},
    {.name = "LogSoftmax", .types = "T: f32 f16 bf16", .plan = LogSoftmax},
    {.name = "Hardmax", .types = "T: f32 f16 bf16", .plan = Hardmax},
};

}  // namespace
}  // namespace daybreak
