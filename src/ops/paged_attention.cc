// PagedAttention (com.microsoft): rotation, append and attention for sequences whose tokens follow one
// another without padding and whose keys lie in blocks of a common cache.
//
// Nothing is read back: grids follow from the number of tokens and sequences and from the width of the table;
// lengths and blocks are read on the device.
#include <algorithm>

#include "ops/attention.h"

namespace daybreak {
namespace {

enum Input {
  kQuery,
  kKey,
  kValue,
  kKeyCache,
  kValueCache,
  kStarts,
  kPasts,
  kTable,
  kCos,
  kSin,
  kSlots,
  kSink,
  kQNorm,
  kKNorm,
  kKScale,
  kVScale,
  kMetadata
};

struct Paged {
  const Tensor *q, *k, *v, *k_cache, *v_cache, *slots, *cos, *sin, *sink, *q_norm, *k_norm;
  const Tensor *k_scale, *v_scale;  // of caches of bytes
  const Tensor* out;
  Pages pages;
  int64_t batch, heads, kv_heads, head, v_head;
  int64_t longest;              // most tokens of a sequence
  HeadLayout q_at, k_at, v_at;  // one batch entry
  bool latent;                  // values are the beginnings of keys
  bool rotary, interleaved;
  int64_t rope_first;
  float eps;
};

void Require(bool ok, const char* what, const Tensor* t) {
  Check(ok, "PagedAttention: ", what, " has shape ", t ? ToString(t->shape) : "(absent)", ".");
}

// Head sizes and where heads lie in q, k and v, separate or packed in one.
void ReadQkv(Plan& p, Paged& g) {
  Require(g.q->shape.size() == 2, "query, which must have rank 2,", g.q);
  const int64_t tokens = g.pages.tokens = g.q->shape[0];
  const bool packed = g.k == nullptr;
  const int64_t all = packed ? g.heads + 2 * g.kv_heads : g.heads;
  const int64_t hidden = g.q->shape[1];
  g.head = hidden / all;
  Check(g.head > 0 && hidden % all == 0 && g.head % 8 == 0, "PagedAttention: hidden size ", hidden, " of ",
        all, " heads does not give heads of a multiple of 8 elements.");
  const int64_t v_head = p.Attr("v_head_size", 0);
  g.v_head = v_head == 0 ? g.head : v_head;
  Check(g.latent ? g.v_head % 8 == 0 && g.v_head <= g.head : g.v_head == g.head,
        "PagedAttention: v_head_size ", v_head, " does not fit heads of ", g.head, " elements.");
  g.q_at = {0, g.head, hidden, 0};
  if (packed) {
    g.k = g.v = g.q;
    g.k_at = {0, g.head, hidden, g.heads * g.head};
    g.v_at = {0, g.head, hidden, (g.heads + g.kv_heads) * g.head};
    return;
  }
  g.k_at = g.v_at = {0, g.head, g.kv_heads * g.head, 0};
  for (const Tensor* x : {g.k, g.v})
    if (x != nullptr || !g.latent)
      Require(x && x->shape == Shape{tokens, g.kv_heads * g.head},
              "key or value, which does not match query,", x);
}

// The cache that is written: the output if the model has it, after a copy unless it is the input's memory,
// else the input.
const Tensor* Writable(Plan& p, const Tensor* cache, size_t output) {
  const Tensor* out = p.Out(output, cache->shape);
  if (out == nullptr || out->device.address == cache->device.address) return out ? out : cache;
  p.Copy(cache, out, cache->bytes());
  return out;
}

void ReadCaches(Plan& p, Paged& g) {
  const Shape& shape = g.k_cache->shape;
  Require(shape.size() == 4 && shape[2] == g.kv_heads && shape[3] == g.head,
          "key_cache, which must be (blocks, rows, kv_num_heads, head size),", g.k_cache);
  if (!g.latent)
    Require(g.v_cache && g.v_cache->shape == shape, "value_cache, whose shape must equal key_cache's,",
            g.v_cache);
  g.pages.pool = shape[0];
  g.pages.block = shape[1];
  g.k_cache = Writable(p, g.k_cache, 1);
  if (!g.latent) g.v_cache = Writable(p, g.v_cache, 2);
}

// The device reads what sequences consist of; the host knows bounds.
void ReadLengths(Plan& p, Paged& g) {
  const Tensor* starts = g.pages.starts = p.In(kStarts);
  const Tensor* pasts = g.pages.pasts = p.In(kPasts);
  const Tensor* table = g.pages.table = p.In(kTable);
  Require(starts->shape.size() == 1 && starts->shape[0] > 0,
          "cumulative_sequence_length, which needs one element more than there are sequences,", starts);
  g.batch = starts->shape[0] - 1;
  Require(pasts->shape == Shape{g.batch}, "past_seqlens, which needs an element a sequence,", pasts);
  Require(table->shape.size() == 2 && table->shape[0] == g.batch,
          "block_table, which needs a row a sequence,", table);
  g.longest = g.pages.tokens;
  g.pages.keys = g.pages.capacity();
  if (const Tensor* metadata = p.In(kMetadata)) {
    Require(metadata->shape == Shape{2} || metadata->shape == Shape{3},
            "attention_metadata, which must have 2 or 3 elements,", metadata);
    if (metadata->host == nullptr) return;  // under graph capture, where every input lies on the device
    const auto bounds = HostInts(*metadata);
    if (bounds[0] > 0) g.longest = std::min(g.longest, bounds[0]);
    if (bounds[1] > 0) g.pages.keys = std::min(g.pages.keys, bounds[1]);
  }
}

void CheckExtras(const Paged& g) {
  if (g.rotary) {
    Require(g.cos->shape.size() == 2 && g.cos->shape == g.sin->shape,
            "sin_cache, which must be 2-D and equal to cos_cache,", g.sin);
    Require(g.cos->shape[1] % 4 == 0 && g.rope_first + 2 * g.cos->shape[1] <= g.head,
            "cos_cache, whose rows must be a multiple of 4 and at most half of what rotary_offset leaves of "
            "a head,",
            g.cos);
  }
  if (g.sink) Require(g.sink->shape == Shape{g.heads}, "head_sink, which needs an element a head,", g.sink);
  for (const Tensor* w : {g.q_norm, g.k_norm})
    if (w)
      Require(w->shape == Shape{g.head}, "a norm weight, which needs an element a dimension of the head,", w);
  for (const Tensor* s : {g.k_scale, g.v_scale})
    if (s)
      Require(s->count() == 1 || s->shape == Shape{g.kv_heads, 1, g.head},
              "k_scale or v_scale, which needs one element or one for each of a token,", s);
  if (g.slots)
    Require(g.slots->shape == Shape{g.pages.tokens}, "slot_mapping, which needs an element a token,",
            g.slots);
}

Paged Read(Plan& p) {
  Paged g{.q = p.In(kQuery),
          .k = p.In(kKey),
          .v = p.In(kValue),
          .k_cache = p.In(kKeyCache),
          .v_cache = p.In(kValueCache),
          .slots = p.In(kSlots),
          .cos = p.In(kCos),
          .sin = p.In(kSin),
          .sink = p.In(kSink),
          .q_norm = p.In(kQNorm),
          .k_norm = p.In(kKNorm),
          .k_scale = p.In(kKScale),
          .v_scale = p.In(kVScale),
          .heads = p.Attr("num_heads", 0),
          .kv_heads = p.Attr("kv_num_heads", 0),
          .latent = p.Attr("kv_cache_layout", "SEPARATE") == "LATENT",
          .rotary = p.Attr("do_rotary", 0) != 0,
          .interleaved = p.Attr("rotary_interleaved", 0) != 0,
          .rope_first = p.Attr("rotary_offset", 0),
          .eps = p.Attr("qk_norm_epsilon", 1e-6f)};
  ReadQkv(p, g);
  ReadCaches(p, g);
  ReadLengths(p, g);
  CheckExtras(g);
  g.out = p.Out(0, {g.pages.tokens, g.heads * g.v_head});
  return g;
}

// Scales: an element for each of a token, in vectors, or one in all.
bool InChannels(const Tensor* scale) { return scale != nullptr && scale->count() > 1; }
Bind ScaleBind(const char* name, const Tensor* scale) { return {name, scale, InChannels(scale) ? 4u : 1u}; }

// Rotates and stores what is new. Returns q in its final form, or nullptr when q itself is.
const Tensor* Append(Plan& p, const Paged& g, const NewRows& rows) {
  const bool scaled = g.k_scale != nullptr;
  const bool moves_q = g.rotary || g.q_norm || scaled;
  const int64_t tokens = g.pages.tokens;
  const int64_t jobs = tokens * ((moves_q ? g.heads : 0) + (g.latent ? 1 : 2) * g.kv_heads);
  const Tensor* q_new =
      moves_q ? p.Scratch(scaled ? DType::kF32 : g.q->type, {tokens, g.heads * g.head}) : nullptr;
  Dispatch d{.shader = "paged_append",
             .consts = {{"PAGED", true},
                        {"SLOTS", g.slots != nullptr},
                        {"VALUES", !g.latent},
                        {"SCALED", scaled},
                        {"K_CHANNELS", InChannels(g.k_scale)},
                        {"V_CHANNELS", InChannels(g.v_scale)},
                        {"Q", moves_q}},
             .out = {KvBind("k_cache", g.k_cache, scaled ? 8 : 0, 4)},
             .params = {{"heads", U32(moves_q ? g.heads : 0)},
                        {"kv_heads", U32(g.kv_heads)},
                        {"keys", U32(g.pages.capacity())}}};
  d.grid = {CeilDiv<int64_t>(jobs, AddAppended(d, p.Device(), rows, g.head))};
  AddPages(d, g.pages, g.batch);
  if (g.slots) d.in.push_back({"slots", g.slots});
  if (!g.latent) d.in.push_back({"v", g.v, 4});
  if (!g.latent) d.out.push_back(KvBind("v_cache", g.v_cache, scaled ? 8 : 0, 4));
  if (scaled) d.in.push_back(ScaleBind("k_scale", g.k_scale));
  if (scaled) d.in.push_back(ScaleBind("v_scale", g.v_scale));
  if (moves_q) d.out.push_back({"q_new", q_new, 4});
  p.Run(d);
  return q_new;
}

// Attention over the caches, with q as the model gives it.
Attention Problem(Plan& p, const Paged& g) {
  const HeadLayout in_cache{0, g.head, g.kv_heads * g.head, 0};
  return {.q = g.q,
          .k = g.k_cache,
          .v = g.latent ? g.k_cache : g.v_cache,
          .out = g.out,
          .q_at = g.q_at,
          .k_at = in_cache,
          .v_at = in_cache,
          .out_at = {0, g.v_head, g.heads * g.v_head, 0},
          .kv_bits = g.k_scale ? 8 : 0,
          .kv_scaled = g.k_scale != nullptr,
          .batch = g.batch,
          .heads = g.heads,
          .kv_heads = g.kv_heads,
          .seq = g.longest,
          .keys = g.pages.capacity(),
          .head = g.head,
          .v_head = g.v_head,
          .pages = &g.pages,
          .causal = p.Attr("is_causal", 1) != 0,
          .window = std::max<int64_t>(0, p.Attr("local_window_size", -1)),
          .scale = p.Attr("scale", 0.0f),
          .softcap = p.Attr("softcap", 0.0f),
          .sink = g.sink};
}

NewRows RowsOf(const Paged& g) {
  return {.q = g.q,
          .k = g.k,
          .v = g.v,
          .q_row = g.q_at.row,
          .kv_row = g.k_at.row,
          .first_k = g.k_at.first,
          .first_v = g.v_at.first,
          .rotary = g.rotary,
          .interleaved = g.interleaved,
          .rope_first = g.rope_first,
          .cos = g.cos,
          .sin = g.sin,
          .q_norm = g.q_norm,
          .k_norm = g.k_norm,
          .eps = g.eps};
}

// The output, of what attention over bytes gives.
void ScaleValues(Plan& p, const Paged& g, const Tensor* sums) {
  const int64_t count = sums->count() / 4;
  p.Run({.shader = "paged_scale",
         .consts = {{"D", U32(g.head / 4)}, {"V_CHANNELS", InChannels(g.v_scale)}},
         .in = {{"x", sums, 4}, ScaleBind("v_scale", g.v_scale)},
         .out = {{"y", g.out, 4}},
         .params = {{"count", U32(count)}, {"heads", U32(g.heads)}, {"group", U32(g.heads / g.kv_heads)}},
         .grid = {CeilDiv<int64_t>(count, 64)}});
}

void PagedAttention(Plan& p) {
  const Paged g = Read(p);
  if (g.pages.tokens * g.batch == 0) return;
  Check(g.pages.pool > 0 && g.pages.keys > 0, "PagedAttention: ", g.pages.tokens,
        " new tokens find no block in the cache.");
  Attention a = Problem(p, g);
  const AttentionScope scope(p, a);
  const NewRows rows = RowsOf(g);
  // With a mapping of its own the cache may hold other keys of the new tokens than those that come.
  if (!g.slots && !g.latent && !g.k_scale && !SkipsDecode() && Decode(p, a, &rows)) return;
  if (const Tensor* q_new = Append(p, g, rows)) {
    a.q = q_new;
    a.q_at = {0, g.head, g.heads * g.head, 0};
  }
  if (g.v_scale) a.out = p.Scratch(DType::kF32, g.out->shape);
  Attend(p, a);
  if (g.v_scale) ScaleValues(p, g, a.out);
}

// Caches of f16 have no scales, those of bytes have two.
std::string DeclinesTypes(const NodeView& node) {
  const bool bytes = node.in[kKeyCache].type == DType::kI8;
  for (const char* name : {"k_quant_type", "v_quant_type"}) {
    const std::string type = node.attrs.String(name, "NONE");
    if (bytes ? type != "PER_TENSOR" && type != "PER_CHANNEL" : type != "NONE")
      return Join("attribute '", name, "' is ", type, " for a KV cache of ", NameOf(node.in[kKeyCache].type));
  }
  for (const char* name : {"k_cache_dtype", "v_cache_dtype"})
    if (const std::string type = node.attrs.String(name, "");
        !type.empty() && type != (bytes ? "int8" : "float16"))
      return Join("attribute '", name, "' is ", type, " for a KV cache of ", NameOf(node.in[kKeyCache].type));
  if (node.Has(kKScale) != bytes || node.Has(kVScale) != bytes)
    return "the inputs 'k_scale' and 'v_scale' do not go with the type of the KV cache";
  return "";
}

std::string DeclinesCache(const NodeView& node) {
  if (std::string reason = DeclinesTypes(node); !reason.empty()) return reason;
  const bool latent = node.attrs.String("kv_cache_layout", "SEPARATE") == "LATENT";
  if (latent && node.Has(kKScale)) return "the layout LATENT needs a KV cache of f16";
  if (latent && (node.Attr("kv_num_heads", 0) != 1 || !node.Has(kKey) || node.Has(kValue) ||
                 node.Has(kValueCache) || node.HasOut(2)))
    return "the layout LATENT needs a key, one kv head, and no value";
  if (!latent && (node.Has(kKey) != node.Has(kValue) || !node.Has(kValueCache)))
    return "one of 'key' and 'value', or 'value_cache', is absent";
  const int64_t v_head = node.Attr("v_head_size", 0);
  const ValueInfo& cache = node.in[kKeyCache];
  const int64_t head = cache.has_shape && cache.shape.size() == 4 ? cache.shape[3] : -1;
  if (v_head != 0 && v_head != head && !latent) return "attribute 'v_head_size' needs the layout LATENT";
  if (v_head < 0 || v_head % 8 != 0)
    return Join("attribute 'v_head_size' is ", v_head, ", not a multiple of 8");
  if (v_head != 0 && v_head != head && node.attrs.Float("scale", 0.0f) == 0)
    return "attribute 'v_head_size' needs attribute 'scale'";
  for (const size_t i : {1, 2})
    if (const size_t in = i + 2; node.Has(in) && node.in[in].constant && !node.HasOut(i))
      return "the cache is a constant, and would be written to";
  return "";
}

std::string Declines(const NodeView& node) {
  const int64_t heads = node.Attr("num_heads", 0), kv_heads = node.Attr("kv_num_heads", 0);
  if (heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0)
    return Join("attribute 'num_heads' is ", heads, ", not a multiple of 'kv_num_heads', ", kv_heads);
  if (std::string reason = DeclinesCache(node); !reason.empty()) return reason;
  for (const char* flag : {"do_rotary", "rotary_interleaved", "is_causal"})
    if (const int64_t v = node.Attr(flag, 0); v != 0 && v != 1)
      return Join("attribute '", flag, "' is ", v, ", not 0 or 1");
  const bool rotary = node.Attr("do_rotary", 0) != 0, norm = node.Has(kQNorm);
  if (rotary && !(node.Has(kCos) && node.Has(kSin)))
    return "attribute 'do_rotary' needs the inputs 'cos_cache' and 'sin_cache'";
  if (norm != node.Has(kKNorm)) return "one of 'q_norm_weight' and 'k_norm_weight' is absent";
  if (const int64_t first = node.Attr("rotary_offset", 0); first < 0 || first % 8 != 0)
    return Join("attribute 'rotary_offset' is ", first, ", not a multiple of 8");
  const bool scaled = node.Has(kKScale);
  const uint64_t buffers = 8u + node.Has(kSlots) + (rotary ? 2 : 0) + (norm ? 2 : 0) + (scaled ? 2 : 0) +
                           (rotary || norm || scaled ? 1 : 0);
  if (node.device->max_storage_buffers < buffers)
    return Join("appending binds ", buffers, " buffers; the device takes ", node.device->max_storage_buffers);
  return "";
}

const Register ops{{.domain = "com.microsoft",
                    .name = "PagedAttention",
                    .types = "T: f16; T_CACHE: f16 i8; T_KV_SCALE: f32; S: i32",
                    .plan = PagedAttention,
                    .declines = Declines,
                    .host_eager = "16"}};

}  // namespace
}  // namespace daybreak
