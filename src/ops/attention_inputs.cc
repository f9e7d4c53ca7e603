#include "ops/attention_inputs.h"

#include <algorithm>

namespace daybreak {
namespace {

// `shape` with leading ones up to rank 4, and the strides that broadcast it to `target`; the last dimension
// may be shorter than the target's unless it is 1.
Ints Strides(Shape shape, const Shape& target) {
  Check(shape.size() <= 4, "Attention: a mask of shape ", ToString(shape), " has more than 4 dimensions.");
  while (shape.size() < 4) shape.insert(0, 1);
  Shape reach = target;
  if (shape[3] > 1) reach[3] = shape[3];
  return ToInts(BroadcastStrides(shape, reach));
}

int64_t Columns(const Shape& shape, int64_t keys) {
  return shape.empty() || shape.back() == 1 ? keys : std::min(shape.back(), keys);
}

}  // namespace

Heads HeadsOf(const Tensor* x, int64_t heads) {
  const Shape& s = x->shape;
  if (s.size() == 4) return {x, {s[1] * s[2] * s[3], s[2] * s[3], s[3], 0}, s[0], s[1], s[2], s[3]};
  Check(s.size() == 3 && heads > 0 && s[2] % heads == 0, "Attention: an input of shape ", ToString(s),
        " is not made of ", heads, " heads.");
  return {x, {s[1] * s[2], s[2] / heads, s[2], 0}, s[0], heads, s[1], s[2] / heads};
}

Heads Joined(Plan& p, const Heads& h, const Tensor* past, const Tensor* bias, int64_t bias_first,
             const Tensor* present) {
  const int64_t past_rows = past ? past->shape[2] : 0;
  if (past_rows == 0 && !bias && !present) return h;
  if (past)
    Check(past->shape == Shape{h.batch, h.heads, past_rows, h.size}, "Attention: a past has shape ",
          ToString(past->shape), " for ", h.batch, " x ", h.heads, " heads of ", h.size, ".");
  const Shape shape{h.batch, h.heads, past_rows + h.rows, h.size};
  const Tensor* y = present ? present : p.Scratch(h.x->type, shape);
  const bool vector = ((h.at.batch | h.at.head | h.at.row | h.at.first | h.size | bias_first) & 3) == 0;
  const uint32_t width = vector ? 4 : 1;
  const int64_t count = Count(shape) / width;
  Dispatch d{.shader = "attention_concat",
             .consts = {{"V", vector ? "vec4<f32>" : "f32"},
                        {"D", U32(h.size / width)},
                        {"PAST", past_rows > 0},
                        {"BIAS", bias != nullptr}},
             .in = {{"x", h.x, width}},
             .out = {{"y", y, width}},
             .params = {{"x_stride", InVectors(h.at, width)},
                        {"count", U32(count)},
                        {"rows", U32(shape[2])},
                        {"past_rows", U32(past_rows)},
                        {"heads", U32(h.heads)},
                        {"bias_first", U32(bias_first / width)}},
             .grid = {CeilDiv<int64_t>(count, 64)}};
  if (past_rows > 0) d.in.push_back({"past", past, width});
  if (bias) d.in.push_back({"bias", bias, width});
  p.Run(d);
  return {y,        {shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 0},
          h.batch,  h.heads,
          shape[2], h.size};
}

void AddMasks(Plan& p, const Masks& m, Attention& a) {
  const Shape full{a.batch, a.heads, a.seq, a.keys};
  if (Count(full) == 0 || (!m.bias && !m.mask && !m.lengths)) return;
  if (m.bias && !m.mask && !m.lengths && m.bias->shape.size() == 4 && m.bias->shape[2] == a.seq &&
      m.bias->shape[3] == a.keys) {
    const Ints s = Strides(m.bias->shape, full);
    a.bias = m.bias;
    a.bias_at = {s[0], s[1], s[2], 0};
    return;
  }
  // The result has the dimensions that some mask really has.
  Shape shape{1, 1, a.seq, a.keys};
  const auto widen = [&](Shape s) {
    while (s.size() < 4) s.insert(0, 1);
    for (size_t i = 0; i < 2; ++i) shape[i] = std::max(shape[i], s[i]);
  };
  if (m.bias) widen(m.bias->shape);
  if (m.mask) widen(m.mask_shape);
  if (m.lengths) shape[0] = a.batch;
  const Tensor* y = p.Scratch(DType::kF32, shape);
  Dispatch d{.shader = "attention_mask",
             .consts = {{"BIAS", m.bias != nullptr},
                        {"MASK", m.mask != nullptr},
                        {"LENGTHS", m.lengths != nullptr},
                        {"WIDE", m.lengths && m.lengths->type == DType::kI64}},
             .out = {{"y", y}},
             .params = {{"count", U32(Count(shape))},
                        {"heads", U32(shape[1])},
                        {"seq", U32(shape[2])},
                        {"keys", U32(shape[3])},
                        {"hidden", m.hidden}},
             .grid = {CeilDiv<int64_t>(Count(shape), 64)}};
  if (m.bias) {
    d.in.push_back({"bias", m.bias});
    d.params.push_back({"bias_stride", Strides(m.bias->shape, full)});
    d.params.push_back({"bias_keys", U32(Columns(m.bias->shape, a.keys))});
  }
  if (m.mask) {
    d.in.push_back({"mask", m.mask});
    d.params.push_back({"mask_stride", Strides(m.mask_shape, full)});
    d.params.push_back({"mask_keys", U32(Columns(m.mask_shape, a.keys))});
  }
  if (m.lengths) d.in.push_back({"lengths", m.lengths});
  p.Run(d);
  a.bias = y;
  a.bias_at = {shape[0] == 1 ? 0 : Count(shape, 1, 4), shape[1] == 1 ? 0 : shape[2] * shape[3], shape[3], 0};
}

}  // namespace daybreak
