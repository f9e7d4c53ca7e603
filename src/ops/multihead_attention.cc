// MultiHeadAttention and Attention of com.microsoft.
#include <limits>

#include "ops/attention_inputs.h"
#include "ops/gemm.h"

namespace daybreak {
namespace {

// Query, key and value of one problem, their projection bias and their past.
struct Parts {
  Heads q, k, v;
  const Tensor* bias = nullptr;  // of q, then k, then v, all heads each
  bool kv_bias = true;           // it belongs to k and v too
  const Tensor *past_k = nullptr, *past_v = nullptr, *present_k = nullptr, *present_v = nullptr;
  const Tensor* mask =
      nullptr;  // i32: [batch] key lengths, or 0 where a key is padding, [batch, (seq,) keys]
  const Tensor* score_bias = nullptr;
  const Tensor* scores = nullptr;  // output: scaled products plus bias and masks
};

// x [batch, rows, heads, parts, size], part i of it.
Heads PartOf(const Tensor* x, int64_t i) {
  const Shape& s = x->shape;
  return {x, {s[1] * s[2] * s[3] * s[4], s[3] * s[4], s[2] * s[3] * s[4], i * s[4]}, s[0], s[2], s[1], s[4]};
}

void Run(Plan& p, const Parts& in, const Tensor* out) {
  const int64_t k_first = in.q.heads * in.q.size;
  const Tensor* kv_bias = in.kv_bias ? in.bias : nullptr;
  const Heads q = Joined(p, in.q, nullptr, in.bias, 0, nullptr);
  const int64_t past = in.past_k ? in.past_k->shape[2] : 0;
  const Heads k = Joined(p, in.k, in.past_k, kv_bias, k_first, in.present_k);
  const Heads v = Joined(p, in.v, in.past_v, kv_bias, k_first + in.k.heads * in.k.size, in.present_v);
  Check(
      q.size == k.size && k.rows == v.rows && q.heads == k.heads && q.heads == v.heads && q.batch == k.batch,
      "Attention: heads of query, key and value do not fit.");
  const int64_t width = v.heads * v.size;
  Attention a{.q = q.x,
              .k = k.x,
              .v = v.x,
              .out = out,
              .q_at = q.at,
              .k_at = k.at,
              .v_at = v.at,
              .out_at = {q.rows * width, v.size, width, 0},
              .batch = q.batch,
              .heads = q.heads,
              .kv_heads = k.heads,
              .seq = q.rows,
              .keys = k.rows,
              .head = q.size,
              .v_head = v.size,
              .causal = p.Attr("unidirectional", 0) != 0,
              // As the CPU EP has it, whose mask of the last query is empty.
              .last_sees_all = k.rows > past + q.rows,
              .past = past,
              .scale = p.Attr("scale", 0.0f)};
  Masks masks{.bias = in.score_bias, .hidden = p.Attr("mask_filter_value", -10000.0f)};
  if (in.mask) {
    const Shape& s = in.mask->shape;
    if (s.size() == 1) {
      Check(s[0] == q.batch, "Attention: a mask of shape ", ToString(s), " is not supported.");
      masks.lengths = in.mask;
    } else {
      Check(s.size() <= 3, "Attention: a mask of shape ", ToString(s), " is not supported.");
      masks.mask = in.mask;
      masks.mask_shape = s.size() == 2 ? Shape{s[0], 1, 1, s[1]} : Shape{s[0], 1, s[1], s[2]};
    }
  }
  AddMasks(p, masks, a);
  Attend(p, a);
  // Causality adds the lowest f32, which is -infinity in f16.
  const bool narrow = in.scores && in.scores->type == DType::kF16;
  using Limits = std::numeric_limits<float>;
  Scores(p, a, {.y = in.scores, .hidden = narrow ? -Limits::infinity() : Limits::lowest()});
}

void MultiHeadAttention(Plan& p) {
  enum { kQuery, kKey, kValue, kBias, kMask, kScoreBias, kPastKey, kPastValue };
  const Tensor *query = p.In(kQuery), *key = p.In(kKey), *value = p.In(kValue);
  const int64_t heads = p.Attr("num_heads", 0);
  Parts in{.bias = p.In(kBias),
           .past_k = p.In(kPastKey),
           .past_v = p.In(kPastValue),
           .mask = p.In(kMask),
           .score_bias = p.In(kScoreBias)};
  if (query->shape.size() == 5) {
    in.q = PartOf(query, 0);
    in.k = PartOf(query, 1);
    in.v = PartOf(query, 2);
  } else {
    Check(key != nullptr, "MultiHeadAttention: key is absent and query is not packed.");
    in.q = HeadsOf(query, heads);
    const bool packed = key->shape.size() == 5;
    Check(packed || value != nullptr, "MultiHeadAttention: value is absent and key is not packed.");
    in.k = packed ? PartOf(key, 0) : HeadsOf(key, heads);
    in.v = packed ? PartOf(key, 1) : HeadsOf(value, heads);
    in.kv_bias = packed || key->shape.size() == 3;  // keys of rank 4 come from a cache, complete
  }
  const int64_t rows = in.k.rows + (in.past_k ? in.past_k->shape[2] : 0);
  const Tensor* out = p.Out(0, {in.q.batch, in.q.rows, heads * in.v.size});
  in.present_k = p.Out(1, {in.q.batch, heads, rows, in.k.size});
  in.present_v = p.Out(2, {in.q.batch, heads, rows, in.v.size});
  in.scores = p.Out(3, {in.q.batch, heads, in.q.rows, rows});
  Run(p, in, out);
}

std::string DeclinesMha(const NodeView& node) {
  if (node.Has(8) || node.Has(9))
    return "inputs 'past_sequence_length' and 'cache_indirection' are not supported";
  if (node.Has(4) && (!node.in[4].has_shape || (node.in[4].shape.size() == 1 && node.in[0].has_shape &&
                                                node.in[4].shape[0] != node.in[0].shape[0])))
    return "a key_padding_mask of this shape is not supported";
  return "";
}

// Projects the input, [batch, seq, q + k + v], then attends.
void Attention1(Plan& p) {
  enum { kInput, kWeights, kBias, kMask, kPast, kScoreBias };
  const Tensor *x = p.In(kInput), *w = p.In(kWeights), *mask = p.In(kMask);
  Check(x->shape.size() == 3 && w->shape.size() == 2 && x->shape[2] == w->shape[0], "Attention: input ",
        ToString(x->shape), " and weights ", ToString(w->shape), " do not fit.");
  const int64_t heads = p.Attr("num_heads", 0), batch = x->shape[0], seq = x->shape[1], all = w->shape[1];
  const std::vector<int64_t> sizes = p.Attributes().Ints("qkv_hidden_sizes");
  const int64_t q_size = sizes.size() == 3 ? sizes[0] : all / 3;
  const int64_t v_size = all - 2 * q_size;
  Check(heads > 0 && v_size > 0 && q_size % heads == 0 && v_size % heads == 0, "Attention: weights ",
        ToString(w->shape), " do not hold ", heads, " heads.");
  const Tensor* out = p.Out(0, {batch, seq, v_size});
  if (batch * seq == 0) return;
  const Tensor* qkv = p.Scratch(x->type, {batch, seq, all});
  Product product{.a = x,
                  .b = w,
                  .bias = p.In(kBias),
                  .y = qkv,
                  .m = U32(batch * seq),
                  .n = U32(all),
                  .k = U32(x->shape[2]),
                  .a_m = U32(x->shape[2]),
                  .b_k = U32(all),
                  .bias_n = 1,
                  .batch = {1},
                  .a_batch = {0},
                  .b_batch = {0}};
  Multiply(p, product);
  const auto part = [&](int64_t first, int64_t size) {
    return Heads{qkv, {seq * all, size / heads, all, first}, batch, heads, seq, size / heads};
  };
  Run(p,
      {.q = part(0, q_size),
       .k = part(q_size, q_size),
       .v = part(2 * q_size, v_size),
       .mask = mask,
       .score_bias = p.In(kScoreBias)},
      out);
}

std::string DeclinesAttention(const NodeView& node) {
  if (node.Has(4) || node.Has(6) || node.HasOut(1)) return "a past state is not supported";
  if (node.Attr("do_rotary", 0) != 0) return "attribute 'do_rotary' is not supported";
  if (node.Has(3)) {
    const ValueInfo& mask = node.in[3];
    if (!mask.has_shape || mask.shape.size() > 3) return "a mask_index of this shape is not supported";
    if (mask.shape.size() == 1 &&
        (!node.in[0].has_shape || mask.shape[0] != node.in[0].shape[0] || mask.shape[0] < 0))
      return "a mask_index of start and end positions is not supported";
  }
  return "";
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "MultiHeadAttention",
     .types = "T: f32 f16; QK: f32 f16; M: i32",
     .plan = MultiHeadAttention,
     .declines = DeclinesMha},
    {.domain = "com.microsoft",
     .name = "Attention",
     .types = "T: f32 f16; M: i32",
     .plan = Attention1,
     .declines = DeclinesAttention},
};

}  // namespace
}  // namespace daybreak
