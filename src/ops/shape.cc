// Shape, Size and ConstantOfShape. The first two are written on the CPU: shape computation belongs there.
#include <algorithm>

#include "ops/move.h"

namespace daybreak {
namespace {

// Dimensions [start, end); out-of-range bounds are clamped, negative ones count from the back (from version
// 15).
void ShapeOf(Plan& p) {
  const Shape& shape = p.In(0)->shape;
  const auto rank = static_cast<int64_t>(shape.size());
  const auto bound = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = bound(p.Attr("start", 0)), end = bound(p.Attr("end", rank));
  const Tensor* y = p.Out(0, {std::max<int64_t>(end - start, 0)});
  const auto out = y->HostOut<int64_t>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = shape[static_cast<size_t>(start) + i];
}

void SizeOf(Plan& p) {
  const int64_t count = p.In(0)->count();
  p.Out(0, {})->HostOut<int64_t>()[0] = count;
}

// Filled with the one element of `value`, an f32 zero without it.
void ConstantOfShape(Plan& p) {
  Shape shape;
  for (const int64_t d : HostInts(*p.In(0))) {
    Check(d >= 0, "ConstantOfShape: dimension ", shape.size(), " is ", d, ".");
    shape.push_back(d);
  }
  const Tensor* y = p.Out(0, shape);
  const Attrs::TensorValue* value = p.Attributes().TensorAttr("value");
  const uint64_t bits = value ? PatternOf(value->type, value->bytes.data()) : 0;
  Fill(p, y, static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32));
}

const Register ops{
    {.name = "Shape", .plan = ShapeOf, .host_out = "0"},
    {.name = "Size", .plan = SizeOf, .host_out = "0"},
    {.name = "ConstantOfShape", .since = 9, .plan = ConstantOfShape, .host = "0"},
};

}  // namespace
}  // namespace daybreak
