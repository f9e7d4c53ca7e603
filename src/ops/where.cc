#include "ops/elementwise.h"

namespace daybreak {
namespace {

void Where(Plan& p) {
  const Tensor *c = p.In(0), *a = p.In(1), *b = p.In(2);
  const Tensor* y = p.Out(0, Broadcast(Broadcast(c->shape, a->shape), b->shape));
  Walk walk = WalkOf(y->shape, {&c->shape, &a->shape, &b->shape});
  const bool vectors = HasVectors(y->type) && Vectorize(walk);
  const auto in_vectors = [&](size_t k) { return vectors && walk.strides[k].back() != 0; };
  const View view = vectors ? View::kTyped : View::kRaw;
  const Bind out{"y", y, vectors ? 4u : 1u, view};
  const int64_t size = vectors ? y->count() / 4 : y->count();
  p.Run({.shader = "where",
         .consts = {{"WG", kElementThreads},
                    {"RANK", static_cast<uint32_t>(walk.dims.size())},
                    {"VEC", vectors},
                    {"FLAGS", in_vectors(0)}},
         .in = {{"c", c, 1, in_vectors(0) ? View::kWords : View::kTyped},
                {"a", a, in_vectors(1) ? 4u : 1u, view},
                {"b", b, in_vectors(2) ? 4u : 1u, view}},
         .out = {out},
         .params = {{"dims", ToInts(walk.dims)},
                    {"c_stride", ToInts(walk.strides[0])},
                    {"a_stride", ToInts(walk.strides[1])},
                    {"b_stride", ToInts(walk.strides[2])},
                    {"size", U32(size)}},
         .grid = ElementGrid(vectors ? size : CeilDiv<int64_t>(size, PerThread(out)))});
}

const Register ops{
    {.name = "Where", .since = 9, .types = "B: bool", .plan = Where},
};

}  // namespace
}  // namespace daybreak
