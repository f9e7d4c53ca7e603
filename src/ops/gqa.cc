// GroupQueryAttention (com.microsoft): rotation, the KV cache and causal attention over it.
//
// Lengths are read on the device: batch entry b has seqlens_k[b] + 1 keys, and its queries are the last ones,
// so the past is max(seqlens_k[b] + 1 - seq, 0) rows; that covers right-padded prompts, continuations and
// single tokens alike.
#include <algorithm>

#include "ops/attention.h"

namespace daybreak {
namespace {

enum Input { kQuery, kKey, kValue, kPastKey, kPastValue, kSeqlens, kTotal, kCos, kSin, kIds, kBias, kSink };
enum { kQNorm = 14, kKNorm = 15 };
enum { kAfterSoftmax = 2 };  // of attribute qk_output; 1: before

struct Gqa {
  const Tensor *q, *k, *v, *past_k, *past_v, *seqlens, *cos, *sin, *ids, *bias, *sink, *q_norm, *k_norm;
  const Tensor *out, *k_cache, *v_cache, *scores;
  int64_t batch, seq, kv_seq, heads, kv_heads, head;
  int64_t kv_bits;   // of an element of the caches; 0: they have the query's type
  int64_t capacity;  // rows of the caches
  int64_t keys;      // most key rows of a batch entry
  HeadLayout q_at, k_at, v_at;
  bool rotary, interleaved, grow;
  bool known;  // `keys` is the length of this run, not only a bound
};

void Require(bool ok, const char* what, const Tensor* t) {
  Check(ok, "GroupQueryAttention: ", what, " has shape ", t ? ToString(t->shape) : "(absent)", ".");
}

// Head size and where heads lie in q, k and v, separate or packed in one.
void ReadQkv(Gqa& g) {
  Require(g.q->shape.size() == 3, "query, which must have rank 3,", g.q);
  Check(g.heads > 0 && g.kv_heads > 0 && g.heads % g.kv_heads == 0, "GroupQueryAttention: num_heads ",
        g.heads, " is not a multiple of kv_num_heads ", g.kv_heads, ".");
  g.batch = g.q->shape[0];
  g.seq = g.kv_seq = g.q->shape[1];
  const bool packed = g.k == nullptr;
  const int64_t all = packed ? g.heads + 2 * g.kv_heads : g.heads;
  const int64_t hidden = g.q->shape[2];
  g.head = hidden / all;
  Check(g.head > 0 && hidden % all == 0 && g.head % 8 == 0, "GroupQueryAttention: hidden size ", hidden,
        " of ", all, " heads does not give heads of a multiple of 8 elements.");
  const auto rows = [&](int64_t width, int64_t seq, int64_t first) {
    return HeadLayout{seq * width, g.head, width, first};
  };
  g.q_at = rows(hidden, g.seq, 0);
  if (packed) {
    g.k = g.v = g.q;
    g.k_at = rows(hidden, g.seq, g.heads * g.head);
    g.v_at = rows(hidden, g.seq, (g.heads + g.kv_heads) * g.head);
    return;
  }
  Check(g.v != nullptr && g.k->shape.size() == 3,
        "GroupQueryAttention: key and value must both be there, of rank 3.");
  Require(g.k->shape == g.v->shape, "value, whose shape must equal key's,", g.v);
  g.kv_seq = g.k->shape[1];
  Require(g.k->shape[0] == g.batch && g.k->shape[2] == g.kv_heads * g.head &&
              (g.kv_seq == g.seq || g.kv_seq == 0),
          "key, which does not match query,", g.k);
  g.k_at = g.v_at = rows(g.kv_heads * g.head, g.kv_seq, 0);
}

// Elements of a row of a cache of `bits` (option kvCacheQuantizationBits) in a tensor of this type.
int64_t RowOf(int64_t head, int64_t bits, DType type) {
  return bits == 0 ? head : KvRow(head, bits) * bits / static_cast<int64_t>(BitsOf(type));
}

// Creates the caches: the past's memory where the caller shares it.
void ReadCaches(Plan& p, Gqa& g) {
  int64_t past_rows = 0;
  const int64_t row = RowOf(g.head, g.kv_bits, g.q->type);
  Check((g.past_k == nullptr) == (g.past_v == nullptr),
        "GroupQueryAttention: one of past_key, past_value is absent.");
  for (const Tensor* past : {g.past_k, g.past_v})
    if (past) {
      const Shape want{g.batch, g.kv_heads, g.past_k->shape.size() == 4 ? g.past_k->shape[2] : 0, row};
      Check(past->shape == want, "GroupQueryAttention: a past has shape ", ToString(past->shape), ", not ",
            ToString(want), ".");
      past_rows = want[2];
    }
  Require(g.seqlens && g.seqlens->count() == g.batch, "seqlens_k, which needs one length a batch entry,",
          g.seqlens);
  const Tensor* total = p.In(kTotal);
  Require(total && total->count() == 1, "total_sequence_length, which must have one element,", total);
  g.known = total->host != nullptr;
  g.keys = total->host ? HostInts(*total)[0] : past_rows;
  Check(g.keys >= 0, "GroupQueryAttention: total_sequence_length is ", g.keys, ".");
  g.capacity = std::max(g.keys, past_rows);
  const Shape shape{g.batch, g.kv_heads, g.capacity, row};
  g.k_cache = p.Out(1, shape);
  g.v_cache = p.Out(2, shape);
  if (g.k_cache == nullptr) g.k_cache = p.Scratch(g.q->type, shape);
  if (g.v_cache == nullptr) g.v_cache = p.Scratch(g.q->type, shape);
  const auto shares = [](const Tensor* past, const Tensor* now) {
    return past && past->device.address == now->device.address;
  };
  const bool shared = shares(g.past_k, g.k_cache);
  Check(shared == shares(g.past_v, g.v_cache),
        "GroupQueryAttention: only one of key and value shares its past's memory.");
  Check(total->host || shared,
        "GroupQueryAttention: graph capture needs present_key and present_value bound to the ",
        "memory of past_key and past_value.");
  g.grow = past_rows > 0 && !shared;
}

void CheckExtras(const Gqa& g) {
  if (g.rotary) {
    Check(g.cos && g.sin && g.cos->shape.size() == 2 && g.cos->shape == g.sin->shape,
          "GroupQueryAttention: do_rotary needs cos_cache and sin_cache of one 2-D shape.");
    Require(g.cos->shape[1] % 4 == 0 && 2 * g.cos->shape[1] <= g.head,
            "cos_cache, whose rows must be a multiple of 4 "
            "and at most half a head,",
            g.cos);
  }
  if (g.rotary && !g.ids && g.known)
    Check(g.keys <= g.cos->shape[0], "GroupQueryAttention: ", g.keys, " tokens exceed the ", g.cos->shape[0],
          " positions of cos_cache, the model's context.");
  if (g.ids)
    Require(g.ids->count() == g.batch * g.seq, "position_ids, which needs a position a token,", g.ids);
  if (g.sink) Require(g.sink->count() == g.heads, "head_sink, which needs an element a head,", g.sink);
  for (const Tensor* w : {g.q_norm, g.k_norm})
    if (w) Require(w->count() == g.head, "a norm weight, which needs an element a dimension of the head,", w);
  if (g.bias) {
    const Shape& s = g.bias->shape;
    Require(s.size() == 4 && (s[0] == 1 || s[0] == g.batch) && (s[1] == 1 || s[1] == g.heads) &&
                s[2] == g.seq && s[3] >= g.keys,
            "attention_bias, which does not match (batch, heads, seq, keys),", g.bias);
  }
}

Gqa Read(Plan& p) {
  Gqa g{};
  const Tensor** inputs[] = {&g.q,   &g.k,   &g.v,    &g.past_k, &g.past_v, &g.seqlens, nullptr,   &g.cos,
                             &g.sin, &g.ids, &g.bias, &g.sink,   nullptr,   nullptr,    &g.q_norm, &g.k_norm};
  for (size_t i = 0; i < std::size(inputs); ++i)
    if (inputs[i]) *inputs[i] = p.In(i);
  g.heads = p.Attr("num_heads", 0);
  g.kv_heads = p.Attr("kv_num_heads", 0);
  g.kv_bits = p.Option("kvCacheQuantizationBits");
  g.rotary = p.Attr("do_rotary", 0) != 0;
  g.interleaved = p.Attr("rotary_interleaved", 0) != 0;
  ReadQkv(g);
  ReadCaches(p, g);
  CheckExtras(g);
  g.out = p.Out(0, {g.batch, g.seq, g.heads * g.head});
  g.scores = p.Out(3, {g.batch, g.heads, g.seq, g.keys});
  return g;
}

// Rotates and stores what is new. Returns q in its final form, or nullptr when q itself is.
const Tensor* Append(Plan& p, const Gqa& g, const NewRows& rows) {
  const bool moves_q = g.rotary || g.q_norm || g.kv_bits == 4;
  const int64_t heads = (moves_q ? g.heads : 0) + (g.kv_seq > 0 ? 2 * g.kv_heads : 0);
  const int64_t slots = g.batch * (g.seq * heads + (g.grow ? g.kv_heads * g.capacity : 0));
  const Tensor* q_new = moves_q ? p.Scratch(g.q->type, {g.batch, g.seq, g.heads * g.head}) : nullptr;
  Dispatch d{.shader = "attention_append",
             .consts = {{"VK", 1u},
                        {"KV_PACKED", g.kv_bits > 0},
                        {"KV_SCALED", false},
                        {"KV4", g.kv_bits == 4},
                        {"VALUES", true},
                        {"Q", moves_q},
                        {"GROW", g.grow}},
             .in = {{"v", g.v, 4}, {"seqlens", g.seqlens}},
             .out = {KvBind("k_cache", g.k_cache, g.kv_bits, 4), KvBind("v_cache", g.v_cache, g.kv_bits, 4)},
             .params = {{"slots", U32(slots)},
                        {"heads", U32(moves_q ? g.heads : 0)},
                        {"kv_heads", U32(g.kv_heads)},
                        {"batch", U32(g.batch)},
                        {"seq", U32(g.seq)},
                        {"kv_seq", U32(g.kv_seq)},
                        {"capacity", U32(g.capacity)},
                        {"past_rows", U32(g.grow ? g.past_k->shape[2] : 0)}}};
  d.grid = {CeilDiv<int64_t>(slots, AddAppended(d, p.Device(), rows, g.head))};
  if (g.grow) d.in.push_back(KvBind("k_past", g.past_k, g.kv_bits, 4));
  if (g.grow) d.in.push_back(KvBind("v_past", g.past_v, g.kv_bits, 4));
  if (moves_q) d.out.push_back({"q_new", q_new, 4});
  p.Run(d);
  return q_new;
}

// Turns head vectors of attention over a cache of 4 bits back (lib/head_turn.wgsl).
void TurnBack(Plan& p, const Gqa& g, const Tensor* x) {
  const DeviceInfo& device = p.Device();
  const bool subgroups = device.subgroups && device.subgroup_size() > 0;
  const auto lanes = U32(g.head / 4);
  const uint32_t wg = std::max(lanes, 64u);
  const int64_t heads = g.batch * g.seq * g.heads;
  p.Run({.shader = "attention_turn",
         .consts = {{"WG", wg},
                    {"LANES", lanes},
                    {"SUBGROUPS", subgroups},
                    {"SG", subgroups ? device.subgroup_size() : 1u},
                    {"D", lanes},
                    {"V", "vec4<f32>"},
                    {"VK", 1u}},
         .in = {{"x", x, 4}},
         .out = {{"y", g.out, 4}},
         .params = {{"heads", U32(heads)}},
         .grid = {CeilDiv<int64_t>(heads, wg / lanes)}});
}

// Attention over the caches, with q as the model gives it.
Attention Problem(Plan& p, const Gqa& g) {
  const int64_t hidden = g.heads * g.head;
  const int64_t row = KvRow(g.head, g.kv_bits);
  const HeadLayout in_cache{g.kv_heads * g.capacity * row, g.capacity * row, row, 0};
  Attention a{.q = g.q,
              .k = g.k_cache,
              .v = g.v_cache,
              .out = g.out,
              .q_at = g.q_at,
              .k_at = in_cache,
              .v_at = in_cache,
              .out_at = {g.seq * hidden, g.head, hidden, 0},
              .kv_bits = g.kv_bits,
              .batch = g.batch,
              .heads = g.heads,
              .kv_heads = g.kv_heads,
              .seq = g.seq,
              .keys = g.keys,
              .head = g.head,
              .v_head = g.head,
              .seqlens = g.seqlens,
              .causal = p.Attr("causal", 1) != 0,
              .window = std::max<int64_t>(0, p.Attr("local_window_size", -1)),
              .scale = p.Attr("scale", 0.0f),
              .softcap = p.Attr("softcap", 0.0f),
              .bias = g.bias,
              .sink = g.sink,
              .smooth = p.Attr("smooth_softmax", 0) == 1};
  if (g.bias) {
    const Shape& s = g.bias->shape;
    a.bias_at = {s[0] == 1 ? 0 : s[1] * s[2] * s[3], s[1] == 1 ? 0 : s[2] * s[3], s[3], 0};
  }
  return a;
}

NewRows RowsOf(Plan& p, const Gqa& g) {
  return {.q = g.q,
          .k = g.k,
          .v = g.v,
          .q_row = g.q_at.row,
          .kv_row = g.k_at.row,
          .first_k = g.k_at.first,
          .first_v = g.v_at.first,
          .kv_seq = g.kv_seq,
          .rotary = g.rotary,
          .interleaved = g.interleaved,
          .cos = g.cos,
          .sin = g.sin,
          .ids = g.ids,
          .q_norm = g.q_norm,
          .k_norm = g.k_norm,
          .k_past = g.grow ? g.past_k : nullptr,
          .v_past = g.grow ? g.past_v : nullptr,
          .eps = p.Attr("qk_norm_epsilon", 1e-6f)};
}

void GroupQueryAttention(Plan& p) {
  const Gqa g = Read(p);
  if (g.batch * g.seq == 0) return;
  Attention a = Problem(p, g);
  if (g.kv_bits == 4) a.out = p.Scratch(DType::kF32, g.out->shape);
  const AttentionScope scope(p, a);
  const NewRows rows = RowsOf(p, g);
  // A kernel that appends as it goes must see every row of new caches, and leaves no rotated query for
  // scores.
  const bool fills = !g.scores && (!g.grow || (g.batch == 1 && g.capacity == g.keys && a.window == 0));
  if (!(fills && !SkipsDecode() && Decode(p, a, &rows))) {
    if (const Tensor* q_new = Append(p, g, rows)) {
      a.q = q_new;
      a.q_at = a.out_at;
    }
    Attend(p, a);
  }
  if (g.kv_bits == 4) TurnBack(p, g, a.out);
  const bool softmax = p.Attr("qk_output", 0) == kAfterSoftmax;
  Scores(p, a, {.y = g.scores, .stage = softmax ? ScoreStage::kSoftmax : ScoreStage::kMasked, .hidden = 0});
}

std::string DeclinesScores(const NodeView& node) {
  const int64_t wanted = node.Attr("qk_output", 0);
  if (wanted < 0 || wanted > kAfterSoftmax)
    return Join("attribute 'qk_output' is ", wanted, ", not 0, 1 or 2");
  if ((wanted != 0) != node.HasOut(3)) return "one of attribute 'qk_output' and output 'output_qk' is absent";
  if (wanted != 0 && node.capture)
    return "graph capture needs shapes that do not depend on 'total_sequence_length', as that of 'output_qk'";
  return "";
}

// Option kvCacheQuantizationBits and what the model declares of its caches.
std::string DeclinesPacking(const NodeView& node) {
  if (node.kv_bits == 0) return "";
  const auto last = [&](size_t i) {
    return node.Has(i) && !node.in[i].shape.empty() ? node.in[i].shape.back() : -1;
  };
  const int64_t heads = node.Attr("num_heads", 0), kv_heads = node.Attr("kv_num_heads", 0);
  const int64_t all = node.Has(kKey) ? heads : heads + 2 * kv_heads;
  const int64_t head = last(kQuery) > 0 && all > 0 ? last(kQuery) / all : -1;
  const std::string option = Join("option kvCacheQuantizationBits is ", node.kv_bits);
  if (node.kv_bits == 4 && head < 0) return Join(option, ", for which the size of 'query' must be known");
  if (head < 0) return "";
  if (node.kv_bits == 4 && (head < 8 || Pow2(head) != head))
    return Join(option, ", which needs heads of a power of two from 8 elements on, not of ", head);
  const int64_t row = RowOf(head, node.kv_bits, node.in[kQuery].type);
  for (const size_t past : {kPastKey, kPastValue})
    if (last(past) >= 0 && last(past) != row)
      return Join(option, ", for which rows of 'past_key' and 'past_value' need ", row, " elements, not ",
                  last(past));
  return "";
}

std::string Declines(const NodeView& node) {
  const auto quantised = [&](const char* name) {
    const std::string type = node.attrs.String(name, "NONE");
    return !type.empty() && type != "NONE";
  };
  if (quantised("k_quant_type") || quantised("v_quant_type") || node.Has(12) || node.Has(13))
    return "a quantised KV cache is not supported";
  if (node.Has(kPastKey) && node.in[kPastKey].type != node.in[kQuery].type)
    return "the KV cache has another type than the query";
  if (std::string reason = DeclinesPacking(node); !reason.empty()) return reason;
  if (node.Attr("do_rotary", 0) != 0 && node.device->max_storage_buffers < 9)
    return Join("rotation while appending binds 9 buffers; the device takes ",
                node.device->max_storage_buffers);
  if (node.Attr("sliding_window_cache", 0) != 0) return "attribute 'sliding_window_cache' is not supported";
  if (std::string reason = DeclinesScores(node); !reason.empty()) return reason;
  if (node.Has(kQNorm) != node.Has(kKNorm)) return "one of 'q_norm_weight' and 'k_norm_weight' is absent";
  for (const char* flag : {"do_rotary", "rotary_interleaved"})
    if (const int64_t v = node.Attr(flag, 0); v != 0 && v != 1)
      return Join("attribute '", flag, "' is ", v, ", not 0 or 1");
  if (node.Attr("do_rotary", 0) != 0 && !(node.Has(kCos) && node.Has(kSin)))
    return "attribute 'do_rotary' needs the inputs 'cos_cache' and 'sin_cache'";
  return "";
}

const Register ops{{.domain = "com.microsoft",
                    .name = "GroupQueryAttention",
                    .types = "T: f32 f16; T_CACHE: f32 f16; T_KV_SCALE: f32; M: i32",
                    .plan = GroupQueryAttention,
                    .declines = Declines,
                    .host_eager = "6"}};

}  // namespace
}  // namespace daybreak
