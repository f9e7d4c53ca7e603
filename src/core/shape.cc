#include "core/shape.h"

#include <algorithm>

namespace daybreak {

int64_t Count(const Shape& shape, size_t first, size_t last) {
  int64_t n = 1;
  for (size_t i = first; i < last; ++i) n *= shape[i];
  return n;
}

int64_t Count(const Shape& shape) { return Count(shape, 0, shape.size()); }

std::string ToString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

size_t WrapAxis(int64_t axis, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  Check(axis >= -r && axis < r, "Axis ", axis, " is outside [", -r, ", ", r - 1, "].");
  return static_cast<size_t>(axis < 0 ? axis + r : axis);
}

AxisSplit SplitAt(const Shape& shape, int64_t axis) {
  const size_t at = WrapAxis(axis, shape.size());
  return {Count(shape, 0, at), shape[at], Count(shape, at + 1, shape.size())};
}

Shape Broadcast(const Shape& a, const Shape& b) {
  Shape out;
  out.resize(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    Check(x == y || x == 1 || y == 1, "Shapes ", ToString(a), " and ", ToString(b), " do not broadcast.");
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

Shape StridesOf(const Shape& shape) {
  Shape strides;
  strides.resize(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Shape BroadcastStrides(const Shape& shape, const Shape& target) {
  Check(shape.size() <= target.size(), "Shape ", ToString(shape), " has a higher rank than ",
        ToString(target), ".");
  const Shape own = StridesOf(shape);
  const size_t pad = target.size() - shape.size();
  Shape strides;
  strides.resize(target.size(), 0);
  for (size_t i = 0; i < shape.size(); ++i) {
    Check(shape[i] == target[pad + i] || shape[i] == 1, "Shape ", ToString(shape), " does not broadcast to ",
          ToString(target), ".");
    strides[pad + i] = shape[i] == 1 ? 0 : own[i];
  }
  return strides;
}

uint32_t U32(int64_t value) {
  Check(value >= 0 && value <= INT64_C(0xFFFFFFFF), "The size ", value, " does not fit into 32 bits.");
  return static_cast<uint32_t>(value);
}

}  // namespace daybreak
