// RotaryEmbedding of com.microsoft and of ONNX 23.
#include "core/op.h"

namespace daybreak {
namespace {

struct Rotary {
  const Tensor* x = nullptr;
  const Tensor* cos = nullptr;  // [positions, half] or [batch, seq, half]
  const Tensor* sin = nullptr;
  const Tensor* ids =
      nullptr;        // int64 [1] (first position) or [batch, seq]; nullptr: the caches have batch and seq
  int64_t heads = 0;  // heads of a 3-D x; 0 when the caches alone tell the head size
  int64_t dim = 0;    // rotated dimensions; 0: the whole head
  bool interleaved = false;
};

// x as [batch, heads, seq, head size] with element strides of the first three.
struct Layout {
  int64_t batch, heads, seq, head;
  Shape strides;
};

Layout LayoutOf(const Rotary& r) {
  const Shape& s = r.x->shape;
  if (s.size() == 4) return {s[0], s[1], s[2], s[3], {s[1] * s[2] * s[3], s[2] * s[3], s[3]}};
  Check(s.size() == 3, "RotaryEmbedding: the input has shape ", ToString(s), "; rank 3 or 4 is required.");
  const int64_t head = r.heads > 0 ? s[2] / r.heads : r.cos->shape.back() * 2;
  Check(head > 0 && s[2] % head == 0, "RotaryEmbedding: hidden size ", s[2],
        " is not a multiple of head size ", head, ".");
  return {s[0], s[2] / head, s[1], head, {s[1] * s[2], head, s[2]}};
}

void CheckCaches(const Rotary& r, const Layout& l, int64_t half) {
  Check(r.cos->shape == r.sin->shape && r.cos->shape.size() >= 2, "RotaryEmbedding: cos_cache ",
        ToString(r.cos->shape), " and sin_cache ", ToString(r.sin->shape),
        " differ or have less than 2 dimensions.");
  Check(r.cos->shape.back() == half && 2 * half <= l.head, "RotaryEmbedding: the caches have rows of ",
        r.cos->shape.back(), ", but ", 2 * half, " of ", l.head, " dimensions are rotated.");
  if (r.ids) {
    Check(r.ids->count() == 1 || r.ids->count() == l.batch * l.seq, "RotaryEmbedding: position_ids ",
          ToString(r.ids->shape), " is neither one position nor [", l.batch, ",", l.seq, "].");
  } else {
    Check(r.cos->count() == l.batch * l.seq * half, "RotaryEmbedding: caches ", ToString(r.cos->shape),
          " without position_ids must be [", l.batch, ",", l.seq, ",", half, "].");
  }
}

void Run(Plan& p, const Rotary& r) {
  const Tensor* y = p.Out(0, r.x->shape);
  if (r.x->count() == 0) return;
  const Layout l = LayoutOf(r);
  const int64_t half = (r.dim > 0 ? r.dim : l.head) / 2;
  CheckCaches(r, l, half);
  // Four dimensions a step need groups of four at every boundary.
  const uint32_t width = half % 4 == 0 && l.head % 4 == 0 ? 4 : 1;
  const int64_t units = half / width;
  const int64_t items = units + (l.head - 2 * half) / width;
  Shape strides = l.strides;
  for (int64_t& s : strides) s /= width;
  const bool one_id = r.ids && r.ids->shape.size() < 2 && r.ids->count() == 1;

  Dispatch d{.shader = "rotary",
             .consts = {{"V", width == 4 ? "vec4<f32>" : "f32"},
                        {"VECTOR", width == 4},
                        {"INTERLEAVED", r.interleaved},
                        {"IDS", r.ids != nullptr}},
             .in = {{"x", r.x, width}, {"cos_cache", r.cos, width}, {"sin_cache", r.sin, width}},
             .out = {{"y", y, width}},
             .params = {{"stride", ToInts(strides)},
                        {"count", U32(l.batch * l.seq * l.heads * items)},
                        {"items", U32(items)},
                        {"half", U32(units)},
                        {"seq", U32(l.seq)},
                        {"heads", U32(l.heads)},
                        {"positions", U32(r.cos->count() / half)},
                        {"id_batch", U32(one_id ? 0 : l.seq)}},
             .grid = {CeilDiv<int64_t>(l.batch * l.seq * l.heads * items, 64)}};
  if (r.ids) d.in.push_back({"ids", r.ids});
  p.Run(d);
}

// Inputs: x, position_ids, cos_cache, sin_cache.
void Microsoft(Plan& p) {
  const int64_t dim = p.Attr("rotary_embedding_dim", 0);
  const int64_t heads = p.Attr("num_heads", 0);
  Check(dim == 0 || heads > 0 || p.In(0)->shape.size() == 4,
        "RotaryEmbedding: num_heads is required with rotary_embedding_dim.");
  Run(p, {.x = p.In(0),
          .cos = p.In(2),
          .sin = p.In(3),
          .ids = p.In(1),
          .heads = heads,
          .dim = dim,
          .interleaved = p.Attr("interleaved", 0) != 0});
}

// Inputs: x, cos_cache, sin_cache, position_ids.
void Onnx(Plan& p) {
  Check(p.In(0)->shape.size() == 4 || p.Attr("num_heads", 0) > 0,
        "RotaryEmbedding: num_heads is required for an input of rank 3.");
  Run(p, {.x = p.In(0),
          .cos = p.In(1),
          .sin = p.In(2),
          .ids = p.In(3),
          .heads = p.Attr("num_heads", 0),
          .dim = p.Attr("rotary_embedding_dim", 0),
          .interleaved = p.Attr("interleaved", 0) != 0});
}

std::string Declines(const NodeView& node) {
  const int64_t interleaved = node.Attr("interleaved", 0);
  if (interleaved != 0 && interleaved != 1) return Join("interleaved is ", interleaved, ", not 0 or 1");
  return node.Attr("scale", 1.0f) == 1.0f ? "" : "attribute 'scale' other than 1 has no defined meaning";
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "RotaryEmbedding",
     .types = "T: f32 f16; M: i64",
     .plan = Microsoft,
     .declines = Declines},
    {.name = "RotaryEmbedding",
     .since = 23,
     .types = "T: f32 f16; M: i64",
     .plan = Onnx,
     .declines = Declines},
};

}  // namespace
}  // namespace daybreak
