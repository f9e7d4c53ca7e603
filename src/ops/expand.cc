// Expand and Tile: repetition along axes.
#include "ops/move.h"

namespace daybreak {
namespace {

void Expand(Plan& p) {
  const Tensor* x = p.In(0);
  Shape target;
  for (const int64_t d : HostInts(*p.In(1))) target.push_back(d);
  const Tensor* y = p.Out(0, Broadcast(x->shape, target));
  const Shape strides = BroadcastStrides(x->shape, y->shape);
  Axes axes;
  for (size_t i = 0; i < y->shape.size(); ++i) axes.push_back({y->shape[i], strides[i]});
  Strided(p, x, y, axes);
}

void Tile(Plan& p) {
  const Tensor* x = p.In(0);
  const auto repeats = HostInts(*p.In(1));
  Check(repeats.size() == x->shape.size(), "Tile: ", repeats.size(), " repeats for ", ToString(x->shape),
        ".");
  Shape shape;
  for (size_t i = 0; i < repeats.size(); ++i) {
    Check(repeats[i] >= 0, "Tile: repeat ", i, " is ", repeats[i], ".");
    shape.push_back(x->shape[i] * repeats[i]);
  }
  const Tensor* y = p.Out(0, shape);
  const Shape strides = StridesOf(x->shape);
  Axes axes;
  for (size_t i = 0; i < shape.size(); ++i)
    axes.push_back(x->shape[i] == 1 ? Axis(shape[i], 0) : Axis(shape[i], strides[i], x->shape[i]));
  Strided(p, x, y, axes);
}

const Register ops{
    {.name = "Expand", .since = 8, .plan = Expand, .host = "1"},
    {.name = "Tile", .since = 6, .plan = Tile, .host = "1"},
};

}  // namespace
}  // namespace daybreak
