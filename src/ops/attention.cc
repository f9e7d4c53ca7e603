#include "ops/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/variant.h"

namespace daybreak {
namespace {

struct Tile {
  uint32_t wg, rows, keys;
  bool stage;
};

uint64_t BytesOf(const Attention& a, const Tile& t) {
  const int64_t floats = t.rows * (a.head + t.keys + 2) + t.wg + (t.stage ? (t.keys + 1) * a.head : 0);
  return 4 * static_cast<uint64_t>(floats);
}

// Query rows that share each key read, as many as workgroup memory holds and as there are. Every GPU gains
// from keys in workgroup memory, which 16 rows read; with the 16 KiB that WebGPU guarantees fewer keys are
// staged, or none. Software gains nothing from staging, and its barriers cost more; eight rows are what its
// registers hold.
Tile TileOf(const Attention& a, const DeviceInfo& device) {
  const uint32_t most = Pow2(a.seq * (a.heads / a.kv_heads));
  const bool software = device.software && !IsForced("attention_tile_staged");
  Tile t = software ? Tile{32, std::min(most, 8u), 32, false} : Tile{128, std::min(most, 16u), 64, true};
  const auto fits = [&] { return BytesOf(a, t) <= device.workgroup_bytes; };
  if (!fits() && t.stage) t.keys = 32;
  if (!fits()) t.stage = false;
  while (!fits() && t.rows > 1) t.rows /= 2;
  t.rows = std::max(t.rows, t.wg / t.keys);
  Check(fits(), "Attention: a head of ", a.head, " elements exceeds the ", device.workgroup_bytes,
        " bytes of workgroup memory.");
  return t;
}

}  // namespace

int64_t KvRow(int64_t head, int64_t bits) { return bits == 0 ? head : head + 32 / bits; }

Bind KvBind(const char* name, const Tensor* cache, int64_t bits, uint32_t width) {
  return bits == 0 ? Bind{name, cache, width} : Bind{name, cache, 1, View::kWords};
}

uint32_t WidthOf(const Attention& a) {
  for (const HeadLayout* at : {&a.q_at, &a.k_at, &a.v_at, &a.out_at})
    if ((at->batch | at->head | at->row | at->first) % 4 != 0) return 1;
  return (a.head | a.v_head) % 4 == 0 ? 4 : 1;
}

Ints InVectors(const HeadLayout& at, uint32_t width) {
  return {U32(at.batch / width), U32(at.head / width), U32(at.row / width), U32(at.first / width)};
}

float ScaleOf(const Attention& a) {
  return a.scale != 0 ? a.scale : 1 / std::sqrt(static_cast<float>(a.head));
}

void AddScoreParts(Dispatch& d, const Attention& a) {
  const bool sink = a.sink != nullptr || a.smooth;
  for (const Const& c :
       {Const{"CAUSAL", a.causal}, Const{"LAST_SEES_ALL", a.last_sees_all}, Const{"WINDOW", a.window > 0},
        Const{"SOFTCAP", a.softcap > 0}, Const{"BIAS", a.bias != nullptr}, Const{"SINK", sink},
        Const{"SINK_INPUT", a.sink != nullptr}, Const{"SEQLENS", a.seqlens != nullptr},
        Const{"KV_PACKED", a.kv_bits > 0}, Const{"KV_SCALED", a.kv_scaled}, Const{"KV4", a.kv_bits == 4}})
    d.consts.push_back(c);
  d.consts.push_back({"PAGED", a.pages != nullptr});
  if (a.pages) {
    AddPages(d, *a.pages, a.batch);
    d.params.push_back({"least", U32(a.pages->least)});
    d.params.push_back({"most", U32(a.pages->most)});
  }
  if (a.seqlens) d.in.push_back({"seqlens", a.seqlens});
  if (a.bias) d.in.push_back({"bias", a.bias});
  if (a.sink) d.in.push_back({"sink", a.sink});
  if (a.bias)
    d.params.push_back({"bias_stride", Ints{U32(a.bias_at.batch), U32(a.bias_at.head), U32(a.bias_at.row)}});
  if (a.softcap > 0) d.params.push_back({"softcap", a.softcap});
  if (a.window > 0) d.params.push_back({"window", U32(a.window)});
}

int64_t PagedTiles(const Attention& a, int64_t rows) {
  const int64_t group = a.heads / a.kv_heads;
  return a.pages->tokens * group / rows + (group % rows == 0 ? 0 : a.batch);
}

void AddPages(Dispatch& d, const Pages& pages, int64_t batch) {
  for (const Bind& b :
       {Bind{"starts", pages.starts}, Bind{"pasts", pages.pasts}, Bind{"block_table", pages.table}})
    d.in.push_back(b);
  d.consts.push_back({"BLOCK", U32(pages.block)});
  for (const Param& param : {Param{"entries", U32(batch)},
                             {"tokens", U32(pages.tokens)},
                             {"blocks", U32(pages.table->shape[1])},
                             {"pool", U32(pages.pool)}})
    d.params.push_back(param);
}

void AddRope(Dispatch& d, const NewRows& n) {
  const bool norm = n.q_norm != nullptr;
  for (const Const& c :
       {Const{"ROTARY", n.rotary}, Const{"INTERLEAVED", n.interleaved}, Const{"QK_NORM", norm},
        Const{"IDS", n.ids != nullptr}, Const{"ROPE_FIRST", U32(n.rope_first / 4)}})
    d.consts.push_back(c);
  if (n.rotary) d.in.push_back({"cos_cache", n.cos, 4});
  if (n.rotary) d.in.push_back({"sin_cache", n.sin, 4});
  if (n.ids) d.in.push_back({"ids", n.ids});
  if (norm) d.in.push_back({"q_norm", n.q_norm, 4});
  if (norm) d.in.push_back({"k_norm", n.k_norm, 4});
  if (n.rotary) d.params.push_back({"half", U32(n.cos->shape[1] / 4)});
  if (n.rotary) d.params.push_back({"positions", U32(n.cos->shape[0])});
  if (norm) d.params.push_back({"eps", n.eps});
}

int64_t AddAppended(Dispatch& d, const DeviceInfo& device, const NewRows& n, int64_t head) {
  const bool subgroups = device.subgroups && device.subgroup_size() > 0;
  const uint32_t team = Pow2(head / 4);
  const uint32_t wg = std::max(team, 64u);
  for (const Const& c : {Const{"WG", wg}, Const{"TEAM", team}, Const{"SUBGROUPS", subgroups},
                         Const{"SG", subgroups ? device.subgroup_size() : 1u}, Const{"D", U32(head / 4)},
                         Const{"V", "vec4<f32>"}})
    d.consts.push_back(c);
  d.in.push_back({"q", n.q, 4});
  d.in.push_back({"k", n.k, 4});
  d.params.push_back({"row", Ints{U32(n.q_row / 4), U32(n.kv_row / 4), U32(n.kv_row / 4)}});
  d.params.push_back({"first", Ints{0, U32(n.first_k / 4), U32(n.first_v / 4)}});
  AddRope(d, n);
  return wg / team;
}

void AddRowTiles(Dispatch& d, const Attention& a, int64_t rows) {
  const int64_t group = a.heads / a.kv_heads;
  const int64_t tiles = a.pages ? PagedTiles(a, rows) : CeilDiv(a.seq * group, rows);
  for (const Param& param : {Param{"tiles", U32(tiles)},
                             {"group", U32(group)},
                             {"kv_heads", U32(a.kv_heads)},
                             {"seq", U32(a.seq)},
                             {"keys", U32(a.keys)},
                             {"past", U32(a.past)},
                             {"scale", ScaleOf(a)}})
    d.params.push_back(param);
  d.grid = {tiles * a.kv_heads * (a.pages ? 1 : a.batch)};
  AddScoreParts(d, a);
}

static const Family kFamily("attention",
                            {"attention_row", "attention_unsplit", "attention_splits=1", "attention_splits=2",
                             "attention_splits=4", "attention_splits=8", "attention_splits=16",
                             "attention_splits=32", "attention_matrix", "attention_matrix,attention_rows=32",
                             "attention_matrix,attention_rows=64", "attention_tile",
                             "attention_tile_staged"});

AttentionScope::AttentionScope(Plan& plan, const Attention& a)
    : ProblemScope(plan, kFamily, a.k->type,
                   {{"rows", SizeClass(a.pages ? CeilDiv(a.pages->tokens, a.batch) : a.seq)},
                    {"group", a.heads / a.kv_heads},
                    {"kv", SizeClass(a.batch * a.kv_heads)},
                    {"keys", SizeClass(a.keys)},
                    {"head", a.head},
                    {"v_head", a.v_head},
                    {"kv_bits", a.kv_bits}}) {}

bool SkipsDecode() { return ForcesTile() || IsForced("attention_matrix"); }

bool ForcesTile() { return IsForced("attention_tile") || IsForced("attention_tile_staged"); }

uint32_t Pow2(int64_t n) { return std::bit_ceil(static_cast<uint32_t>(std::max<int64_t>(n, 1))); }

namespace {

// The kernels for many query rows.
void AttendInTiles(Plan& p, const Attention& a) {
  if (!ForcesTile() && AttendWithMatrices(p, a)) return;
  const uint32_t width = WidthOf(a);
  const Tile tile = TileOf(a, p.Device());
  Dispatch d{.shader = "attention_tile",
             .consts = {{"WG", tile.wg},
                        {"BM", tile.rows},
                        {"BN", tile.keys},
                        {"STAGE", tile.stage},
                        {"D", U32(a.head / width)},
                        {"DV", U32(a.v_head / width)},
                        {"DV_POW2", Pow2(a.v_head / width)},
                        {"V", width == 4 ? "vec4<f32>" : "f32"},
                        {"VECTOR", width == 4},
                        {"VALUES", true}},
             .in = {{"q", a.q, width},
                    KvBind("k_cache", a.k, a.kv_bits, width),
                    KvBind("v_cache", a.v, a.kv_bits, width)},
             .out = {{"y", a.out, width}},
             .params = {{"q_stride", InVectors(a.q_at, width)},
                        {"k_stride", InVectors(a.k_at, width)},
                        {"v_stride", InVectors(a.v_at, width)},
                        {"y_stride", InVectors(a.out_at, width)}}};
  AddRowTiles(d, a, tile.rows);
  p.Run(d);
}

}  // namespace

void Attend(Plan& p, const Attention& a) {
  if (a.out->count() == 0) return;
  const AttentionScope scope(p, a);
  if (IsForced("attention_matrix") && AttendWithMatrices(p, a)) return;
  Attention rest = a;
  Pages some;
  if (!ForcesTile()) {
    if (Decode(p, a, nullptr)) return;
    if (a.pages && a.batch > 1) {  // long sequences and short ones, each to its kernel
      some = *a.pages;
      some.most = kFewRows;
      rest.pages = &some;
      if (Decode(p, rest, nullptr)) some.least = kFewRows + 1;
      some.most = a.pages->most;
    }
  }
  AttendInTiles(p, rest);
}

}  // namespace daybreak
