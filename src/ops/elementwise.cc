#include "ops/elementwise.h"

namespace daybreak {

Walk WalkOf(const Shape& target, std::initializer_list<const Shape*> operands) {
  FixedVec<Shape, 4> full;
  for (const Shape* operand : operands) full.push_back(BroadcastStrides(*operand, target));
  Walk walk;
  walk.strides.resize(full.size());
  for (size_t axis = 0; axis < target.size(); ++axis) {
    if (target[axis] == 1) continue;
    bool merge = !walk.dims.empty();
    for (size_t k = 0; merge && k < full.size(); ++k)
      merge = walk.strides[k].back() == full[k][axis] * target[axis];
    if (merge) {
      walk.dims.back() *= target[axis];
      for (size_t k = 0; k < full.size(); ++k) walk.strides[k].back() = full[k][axis];
    } else {
      walk.dims.push_back(target[axis]);
      for (size_t k = 0; k < full.size(); ++k) walk.strides[k].push_back(full[k][axis]);
    }
  }
  if (walk.dims.empty()) {
    walk.dims.push_back(1);
    for (Shape& strides : walk.strides) strides.push_back(0);
  }
  return walk;
}

bool Vectorize(Walk& walk) {
  if (walk.dims.back() % 4 != 0) return false;
  walk.dims.back() /= 4;
  for (Shape& strides : walk.strides) {
    if (strides.back() == 0) continue;
    for (size_t i = 0; i + 1 < strides.size(); ++i) strides[i] /= 4;
  }
  return true;
}

void MapElements(Plan& p, const char* code, Needs needs, const Tensor* x, const Tensor* y,
                 const MapValues& values) {
  const Kind kx = KindOf(x->type), ky = KindOf(y->type);
  const bool flags = ky == Kind::kBool;
  const bool vectors =
      needs != Needs::kTrig && HasVectors(x->type) && (flags || HasVectors(y->type)) && x->count() % 4 == 0;
  Bind out{"y", y, vectors ? 4u : 1u};
  if (vectors && flags) out = {"y", y, 1, View::kWords};
  const int64_t size = vectors ? y->count() / 4 : y->count();
  const bool is_float = kx == Kind::kFloat;
  p.Run({.shader = "unary",
         .consts = {{"WG", kElementThreads},
                    {"VEC", vectors},
                    {"FLAGS", flags},
                    {"WIDE", IsInt64(x->type) || IsInt64(y->type)},
                    {"DOUBLE", x->type == DType::kF64 || y->type == DType::kF64},
                    {"MATH", is_float && needs != Needs::kPlain},
                    {"TRIG", is_float && needs == Needs::kTrig},
                    {"V", ValueType(kx, vectors)},
                    {"R", ValueType(ky, vectors)},
                    {"VF", ValueType(Kind::kFloat, vectors)},
                    {"VU", ValueType(Kind::kUint, vectors)},
                    {"VI", ValueType(Kind::kInt, vectors)},
                    {"VB", ValueType(Kind::kBool, vectors)},
                    {"f", Code{code}}},
         .in = {{"x", x, vectors ? 4u : 1u}},
         .out = {out},
         .params =
             {{"size", U32(size)}, {"alpha", values.alpha}, {"beta", values.beta}, {"gamma", values.gamma}},
         .grid = ElementGrid(vectors ? size : CeilDiv<int64_t>(size, PerThread(out)))});
}

}  // namespace daybreak
