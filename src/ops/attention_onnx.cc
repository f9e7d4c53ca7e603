// Attention of ONNX 23 and 24.
#include <limits>

#include "ops/attention_inputs.h"

namespace daybreak {
namespace {

enum Input { kQuery, kKey, kValue, kMask, kPastKey, kPastValue, kLengths };
enum { kMaskedMode = 2, kSoftmaxMode = 3 };  // of qk_matmul_output_mode, whose values are those of ScoreStage

void OnnxAttention(Plan& p) {
  const Tensor* q_in = p.In(kQuery);
  const bool flat = q_in->shape.size() == 3;
  const Heads q = HeadsOf(q_in, p.Attr("q_num_heads", 0));
  const Heads k_new = HeadsOf(p.In(kKey), p.Attr("kv_num_heads", 0));
  const Heads v_new = HeadsOf(p.In(kValue), p.Attr("kv_num_heads", 0));
  Check(k_new.heads > 0 && q.heads % k_new.heads == 0 && k_new.heads == v_new.heads &&
            k_new.rows == v_new.rows && q.size == k_new.size && q.batch == k_new.batch &&
            q.batch == v_new.batch,
        "Attention: Q ", ToString(q_in->shape), ", K ", ToString(p.In(kKey)->shape), " and V ",
        ToString(p.In(kValue)->shape), " do not fit.");
  const Tensor* past_k = p.In(kPastKey);
  const Tensor* past_v = p.In(kPastValue);
  const int64_t past = past_k ? past_k->shape[2] : 0;
  const int64_t keys = past + k_new.rows;
  const Tensor* out = p.Out(
      0, flat ? Shape{q.batch, q.rows, q.heads * v_new.size} : Shape{q.batch, q.heads, q.rows, v_new.size});
  const Heads k = Joined(p, k_new, past_k, nullptr, 0, p.Out(1, {q.batch, k_new.heads, keys, k_new.size}));
  const Heads v = Joined(p, v_new, past_v, nullptr, 0, p.Out(2, {q.batch, v_new.heads, keys, v_new.size}));
  Attention a{.q = q.x,
              .k = k.x,
              .v = v.x,
              .out = out,
              .q_at = q.at,
              .k_at = k.at,
              .v_at = v.at,
              .out_at = HeadsOf(out, q.heads).at,
              .batch = q.batch,
              .heads = q.heads,
              .kv_heads = k.heads,
              .seq = q.rows,
              .keys = keys,
              .head = q.size,
              .v_head = v.size,
              .causal = p.Attr("is_causal", 0) != 0,
              .past = past,
              .scale = p.Attr("scale", 0.0f),
              .softcap = p.Attr("softcap", 0.0f)};
  const Tensor* mask = p.In(kMask);
  Masks masks{.lengths = p.In(kLengths), .hidden = -std::numeric_limits<float>::infinity()};
  if (mask && mask->type == DType::kBool) {
    masks.mask = mask;
    masks.mask_shape = mask->shape;
  } else {
    masks.bias = mask;
  }
  AddMasks(p, masks, a);
  Attend(p, a);
  Scores(p, a,
         {.y = p.Out(3, {q.batch, q.heads, q.rows, keys}),
          .stage = ScoreStage{static_cast<uint8_t>(p.Attr("qk_matmul_output_mode", 0))}});
}

std::string DeclinesScores(const NodeView& node) {
  const int64_t mode = node.Attr("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > kSoftmaxMode)
    return Join("attribute 'qk_matmul_output_mode' is ", mode, ", not 0 to 3");
  const bool hides = node.Attr("is_causal", 0) != 0 || node.Has(kLengths) ||
                     (node.Has(kMask) && node.in[kMask].type == DType::kBool);
  // -infinity in ONNX's tests, the lowest finite value in the CPU EP.
  if (mode == kMaskedMode && hides)
    return "ONNX and the CPU EP differ in 'qk_matmul_output' of mode 2 where is_causal, a boolean attn_mask "
           "or 'nonpad_kv_seqlen' hides a key";
  return "";
}

std::string Declines(const NodeView& node) {
  if (node.Has(kMask) && node.in[kMask].type != DType::kBool && node.in[kMask].type != DType::kF32 &&
      node.in[kMask].type != DType::kF16)
    return "an integer attn_mask is not supported";
  if (node.Attr("is_causal", 0) != 0 && node.Has(kLengths))
    return "is_causal together with the input 'nonpad_kv_seqlen' is not supported";
  return node.HasOut(3) ? DeclinesScores(node) : "";
}

const Register ops{{.name = "Attention",
                    .since = 23,
                    .types = "T1: f32 f16; T2: f32 f16; U: bool f32 f16",
                    .plan = OnnxAttention,
                    .declines = Declines}};

}  // namespace
}  // namespace daybreak
