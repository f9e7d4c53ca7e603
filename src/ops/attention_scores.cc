// Scores of attention as an output of their own. They come beside the kernels that compute the output, which
// never hold all scores of a row.
#include "ops/attention.h"

namespace daybreak {

void Scores(Plan& p, const Attention& a, const ScoreOutput& out) {
  if (out.y == nullptr || out.y->count() == 0) return;
  Attention stage = a;  // without what comes after the stage
  if (out.stage < ScoreStage::kCapped) stage.softcap = 0;
  if (out.stage < ScoreStage::kMasked) {
    stage.bias = nullptr;
    stage.causal = false;
    stage.window = 0;
  }
  if (out.stage < ScoreStage::kSoftmax) {
    stage.sink = nullptr;
    stage.smooth = false;
  }
  const uint32_t width = WidthOf(a);
  const int64_t rows = a.batch * a.heads * a.seq;
  Dispatch d{.shader = "attention_scores",
             .consts = {{"WG", a.keys > 64 ? 128u : 32u},
                        {"D", U32(a.head / width)},
                        {"V", width == 4 ? "vec4<f32>" : "f32"},
                        {"VECTOR", width == 4},
                        {"VALUES", false},
                        {"SOFTMAX", out.stage == ScoreStage::kSoftmax}},
             .in = {{"q", a.q, width}, KvBind("k_cache", a.k, a.kv_bits, width)},
             .out = {{"y", out.y}},
             .params = {{"q_stride", InVectors(a.q_at, width)},
                        {"k_stride", InVectors(a.k_at, width)},
                        {"rows", U32(rows)},
                        {"heads", U32(a.heads)},
                        {"group", U32(a.heads / a.kv_heads)},
                        {"seq", U32(a.seq)},
                        {"keys", U32(a.keys)},
                        {"past", U32(a.past)},
                        {"scale", ScaleOf(a)},
                        {"hidden", out.stage == ScoreStage::kSoftmax ? 0.0f : out.hidden}},
             .grid = {rows}};
  AddScoreParts(d, stage);
  p.Run(d);
}

}  // namespace daybreak
