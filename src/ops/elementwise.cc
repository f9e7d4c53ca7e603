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

}  // namespace daybreak
