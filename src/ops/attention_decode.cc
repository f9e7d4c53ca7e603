// Attention of few query rows: keys shared out among workgroups, then joined (attention_decode,
// attention_merge).
#include <algorithm>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/attention.h"

namespace daybreak {
namespace {

constexpr int64_t kMostSplits = 32;    // what attention_merge joins at once
constexpr int64_t kMostLines = 65535;  // the second dimension of a grid

// Where attention_row does not serve, a GPU is done sooner up to here by one workgroup for each row, which
// reads the keys of its group again from the cache, than by several that are then joined: an H100 takes 8.6
// us for 512 keys of llama1b, and 12.0 split. A core that has but one of these workgroups gets a large one,
// so that more keys are on their way at once: from caches that lie in memory, as in a model, 512 threads
// take 9.1 us and 256 take 11.1; where there are more workgroups than cores, as in batches, 18.3 and 15.1.
constexpr int64_t kUnsplitKeys = 1024;
constexpr int64_t kUnsplitRows = 8;

struct Tile {
  uint32_t wg = 128, rows = 1, lanes = 1, unroll = 2;  // keys that a team has in flight
  int64_t tiles = 1, lines = 1, splits = 1;
  bool joined = false;  // tiles are numbered through all sequences, `tiles` is not used
  int64_t chunk() const { return wg / lanes * unroll; }
};

int64_t CoresOf(const DeviceInfo& device) { return FactsOf(device.device_class).cores; }

// Workgroups that fill the device: two for each core, one of which computes while the other waits for its
// loads.
int64_t WantedWorkgroups(const DeviceInfo& device) { return device.software ? 2 : 2 * CoresOf(device); }

bool HasFewRows(const Attention& a) {
  const int64_t most = a.seq * (a.heads / a.kv_heads);
  if (!a.pages) return most <= kFewRows;
  // Hardly more tokens than sequences: all but a few bring one.
  return std::min(most, a.pages->most) <= kFewRows || a.pages->tokens <= 2 * a.batch;
}

// Query rows of a batch entry that tiles should fit. Beside long sequences the short ones have a token each.
int64_t TypicalRows(const Attention& a) {
  const int64_t group = a.heads / a.kv_heads;
  if (!a.pages) return a.seq * group;
  if (a.pages->most < a.seq * group) return group;
  return group * std::min(a.seq, CeilDiv(a.pages->tokens, a.batch));
}

// As many tiles for each sequence as the longest needs, or tiles by the number of tokens: what gives fewer of
// them.
void NumberTiles(const Attention& a, Tile& t) {
  const int64_t most = std::min(a.seq * (a.heads / a.kv_heads), a.pages->most);
  t.tiles = CeilDiv<int64_t>(most, t.rows);
  t.joined = PagedTiles(a, t.rows) < a.batch * t.tiles;
  if (t.joined) t.tiles = 1;
}

Tile TileOf(const Attention& a, const DeviceInfo& device) {
  Tile t;
  const int64_t rows = TypicalRows(a);
  const int64_t keys = a.pages ? a.pages->keys : a.keys;
  const int64_t vectors = std::max(a.head, a.v_head) / 4;
  t.wg = device.software ? 32 : 128;
  t.unroll = device.software ? 1 : 2;  // more costs instructions and registers, and gains nothing
  t.lanes = std::min(device.subgroup_size(), Pow2(CeilDiv<int64_t>(vectors, 2)));
  if (a.kv_bits == 4) t.lanes = std::max(t.lanes, 2u);  // two share a word
  t.tiles = CeilDiv<int64_t>(rows, 4);
  t.rows = static_cast<uint32_t>(CeilDiv(rows, t.tiles));
  t.tiles = CeilDiv<int64_t>(rows, t.rows);
  const int64_t asked = Forced("attention_splits", 0);
  const bool few = !a.pages || a.batch * a.kv_heads * t.tiles < WantedWorkgroups(device);
  const bool unsplit = rows <= kUnsplitRows && asked == 0 &&
                       (IsForced("attention_unsplit") || (!device.software && few && keys <= kUnsplitKeys));
  // Small subgroups would leave too many sums to be joined.
  const bool wide = device.subgroup_size() >= 32 && a.batch * a.kv_heads * rows <= CoresOf(device);
  const uint32_t threads = std::min(wide ? 512u : 256u, device.max_invocations);
  if (unsplit) t = {.wg = threads, .lanes = t.lanes, .unroll = 4, .tiles = rows};
  if (a.pages) NumberTiles(a, t);
  t.lines = t.joined ? a.kv_heads * PagedTiles(a, t.rows) : a.batch * a.kv_heads * t.tiles;
  if (unsplit) return t;
  const int64_t chunks = CeilDiv<int64_t>(std::max<int64_t>(keys, 1), t.chunk());
  // Two chunks are done sooner by one workgroup than split and joined.
  t.splits = chunks <= 2 ? 1
                         : std::clamp<int64_t>(asked != 0 ? asked : WantedWorkgroups(device) / t.lines, 1,
                                               std::min(chunks, kMostSplits));
  return t;
}

bool Fits(const Attention& a, const DeviceInfo& device, const Tile& t, const Dispatch& d) {
  const int64_t vectors = std::max(a.head, a.v_head) / 4;
  const auto bytes =
      static_cast<uint64_t>(t.wg / device.subgroup_size() * (t.rows == 3 ? 4 : t.rows) * 4 * (a.v_head + 2));
  return vectors <= 4 * t.lanes && t.lines <= kMostLines && bytes <= device.workgroup_bytes &&
         BindingsOf(d, device) <= device.max_storage_buffers;
}

// Rows that an entry's cache has; with pages it lies in blocks.
uint32_t CachedKeys(const Attention& a) { return U32(a.pages ? a.keys : a.k->shape[2]); }

// True when a score is decided by more than whether its key exists.
bool ScoresEachRow(const Attention& a) {
  return a.bias || a.window > 0 || a.softcap > 0 || (a.causal && a.seq > 1);
}

// Threads of a workgroup of attention_row, and keys that a team of them takes at once. 256 threads with eight
// keys take 14.3 us instead of 13.1 for 512 keys of llama1b, 1,024 with two 15.2.
constexpr uint32_t kRowThreads = 512, kRowKeys = 4;
// Elements of keys of a head up to which it is faster than workgroups that share them and are then joined.
constexpr int64_t kRowElements = 2048 * 64;

// The kernel for one new token over a cache of f16: it wants cores that have nothing else to do, for no rows
// share what it loads.
bool TakesRow(const Attention& a, const NewRows* n, const DeviceInfo& device) {
  const auto f16 = [](const Tensor* t) { return t->type == DType::kF16; };
  const bool can = n && a.seq == 1 && n->kv_seq == 1 && a.seqlens && !a.pages && a.kv_bits == 0 &&
                   n->k_past == nullptr && f16(n->q) && f16(a.k) && a.head == a.v_head && a.head >= 16 &&
                   Pow2(a.head) == a.head && a.head / 8 <= device.subgroup_size() &&
                   device.max_invocations >= kRowThreads;
  if (!can || IsForced("attention_row")) return can;
  return !device.software && !IsForced("attention_unsplit") && Forced("attention_splits", 0) == 0 &&
         2 * a.batch * a.heads <= CoresOf(device) && a.keys * a.head <= kRowElements;
}

Dispatch RowDispatch(const Attention& a, const NewRows& n, const DeviceInfo& device) {
  Dispatch d{.shader = "attention_row",
             .consts = {{"WG", kRowThreads},
                        {"SG", device.subgroup_size()},
                        {"LANES", U32(a.head / 8)},
                        {"UNROLL", kRowKeys},
                        {"D", U32(a.head / 4)},
                        {"GROUP", U32(a.heads / a.kv_heads)},
                        {"KV_HEADS", U32(a.kv_heads)},
                        {"EACH_ROW", ScoresEachRow(a)}},
             .in = {{"q", n.q, 4}, {"k", n.k, 4}, {"v", n.v, 4}},
             .out = {{"k_cache", a.k, 4, View::kWords}, {"v_cache", a.v, 2, View::kWords}, {"y", a.out}},
             .params = {{"seq", 1u},
                        {"keys", CachedKeys(a)},
                        {"q_row", U32(n.q_row / 4)},
                        {"kv_row", U32(n.kv_row / 4)},
                        {"first_k", U32(n.first_k / 4)},
                        {"first_v", U32(n.first_v / 4)},
                        {"scale", ScaleOf(a)}},
             .grid = {2 * a.batch * a.heads}};
  AddRope(d, n);
  AddScoreParts(d, a);
  return d;
}

// True when the device has room for what a workgroup of it holds.
bool Fits(const Attention& a, const DeviceInfo& device, const Dispatch& row) {
  const auto bytes = static_cast<uint64_t>(kRowThreads / device.subgroup_size() * (2 * a.head + 8));
  return bytes <= device.workgroup_bytes && BindingsOf(row, device) <= device.max_storage_buffers;
}

// R of the shader, a number of each row, for 1 to 4 rows.
constexpr const char* kRowVectors[] = {
    "alias R = f32;\n"
    "fn rows_of(a: array<f32, 4>) -> R { return a[0]; }\nfn row_at(x: R, r: u32) -> f32 { return x; }",
    "alias R = vec2<f32>;\n"
    "fn rows_of(a: array<f32, 4>) -> R { return R(a[0], a[1]); }\nfn row_at(x: R, r: u32) -> f32 { return "
    "x[r]; }",
    "alias R = vec3<f32>;\nfn rows_of(a: array<f32, 4>) -> R { return R(a[0], a[1], a[2]); }\n"
    "fn row_at(x: R, r: u32) -> f32 { return x[r]; }",
    "alias R = vec4<f32>;\nfn rows_of(a: array<f32, 4>) -> R { return R(a[0], a[1], a[2], a[3]); }\n"
    "fn row_at(x: R, r: u32) -> f32 { return x[r]; }"};

void AddNewRows(Dispatch& d, const Attention& a, const NewRows& n) {
  d.in.push_back({"q", n.q, 4});
  d.in.push_back({"k", n.k, 4});
  d.in.push_back({"v", n.v, 4});
  if (n.k_past) d.in.push_back(KvBind("k_cache", n.k_past, a.kv_bits, 4));
  if (n.v_past) d.in.push_back(KvBind("v_cache", n.v_past, a.kv_bits, 4));
  d.out.push_back(KvBind(n.k_past ? "k_new" : "k_cache", a.k, a.kv_bits, 4));
  d.out.push_back(KvBind(n.v_past ? "v_new" : "v_cache", a.v, a.kv_bits, 4));
  for (const Param& p : {Param{"keys", CachedKeys(a)}, Param{"kv_seq", U32(n.kv_seq)},
                         Param{"q_row", U32(n.q_row / 4)}, Param{"kv_row", U32(n.kv_row / 4)},
                         Param{"first_k", U32(n.first_k / 4)}, Param{"first_v", U32(n.first_v / 4)}})
    d.params.push_back(p);
  AddRope(d, n);
  if (n.k_past) d.params.push_back({"past_rows", U32(n.k_past->shape[2])});
}

void AddInPlace(Dispatch& d, const Attention& a) {
  d.in.push_back({"q", a.q, 4});
  d.in.push_back(KvBind("k_cache", a.k, a.kv_bits, 4));
  d.in.push_back(KvBind("v_cache", a.v, a.kv_bits, 4));
  d.params.push_back({"q_stride", InVectors(a.q_at, 4)});
  d.params.push_back({"k_stride", InVectors(a.k_at, 4)});
  d.params.push_back({"v_stride", InVectors(a.v_at, 4)});
  d.params.push_back({"keys", U32(a.keys)});
}

// What the kernel and the one that joins its parts agree on.
void AddShared(Dispatch& d, const Attention& a, const Tile& t) {
  d.consts.push_back({"ROWS", t.rows});
  d.consts.push_back({"DV", U32(a.v_head / 4)});
  d.consts.push_back({"GROUP", U32(a.heads / a.kv_heads)});
  d.consts.push_back({"KV_HEADS", U32(a.kv_heads)});
  d.consts.push_back({"TILES", U32(t.tiles)});
  d.consts.push_back({"JOINED", t.joined});
  d.params.push_back({"splits", U32(t.splits)});
  d.params.push_back({"seq", U32(a.seq)});
  if (!a.seqlens && !a.pages) d.params.push_back({"past", U32(a.past)});
}

void Merge(Plan& p, const Attention& a, const Tile& t, const Tensor* parts, const NewRows* rows) {
  const uint32_t lanes = std::min(Pow2(a.v_head / 4), 64u);
  const uint32_t wg = std::clamp(Pow2(t.splits) * lanes, 64u, std::min(512u, p.Device().max_invocations));
  Attention scores = a;  // without what only raw scores need
  scores.bias = nullptr;
  scores.softcap = 0;
  Dispatch d{.shader = "attention_merge",
             .consts = {{"WG", wg},
                        {"LANES", lanes},
                        {"CHUNK", U32(t.chunk())},
                        {"FUSED", rows != nullptr},
                        {"SPLIT", false}},
             .in = {{"parts", parts, 4}},
             .out = {{"y", a.out, 4}},
             .params = {{"keys", rows ? CachedKeys(a) : U32(a.keys)}},
             .grid = {t.lines * t.rows}};
  AddShared(d, a, t);
  if (rows) d.params.push_back({"kv_seq", U32(rows->kv_seq)});
  if (!rows) d.params.push_back({"y_stride", InVectors(a.out_at, 4)});
  AddScoreParts(d, scores);
  p.Run(d);
}

}  // namespace

bool Decode(Plan& p, const Attention& a, const NewRows* rows) {
  const DeviceInfo& device = p.Device();
  if (!device.subgroups || device.subgroup_size() == 0) return false;
  if (!HasFewRows(a) || WidthOf(a) != 4) return false;
  if (TakesRow(a, rows, device)) {
    const Dispatch row = RowDispatch(a, *rows, device);
    if (Fits(a, device, row)) {
      p.Run(row);
      return true;
    }
  }
  const Tile t = TileOf(a, device);
  const bool fused = rows != nullptr;
  const bool split = t.splits > 1;
  Dispatch d{.shader = "attention_decode",
             .consts = {{"WG", t.wg},
                        {"SG", device.subgroup_size()},
                        {"LANES", t.lanes},
                        {"UNROLL", t.unroll},
                        {"D", U32(a.head / 4)},
                        {"VK", U32(CeilDiv<int64_t>(a.head / 4, t.lanes))},
                        {"VV", U32(CeilDiv<int64_t>(a.v_head / 4, t.lanes))},
                        {"FUSED", fused},
                        {"SPLIT", split},
                        {"VALUES", true},
                        {"GROW", fused && rows->k_past != nullptr},
                        {"R", Code{kRowVectors[t.rows - 1]}},
                        {"EACH_ROW", ScoresEachRow(a)}},
             .params = {{"scale", ScaleOf(a)}},
             .grid = {t.splits, t.lines}};
  if (fused)
    AddNewRows(d, a, *rows);
  else
    AddInPlace(d, a);
  AddShared(d, a, t);
  AddScoreParts(d, a);
  d.out.push_back({"y", a.out});
  if (!Fits(a, device, t, d)) return false;
  if (!split) {
    if (!fused) d.params.push_back({"y_stride", InVectors(a.out_at, 4)});
    p.Run(d);
    return true;
  }
  const Tensor* parts = p.Scratch(DType::kF32, {t.lines * t.splits, t.rows * (a.v_head + 4)});
  d.out.back().tensor = parts;
  p.Run(d);
  Merge(p, a, t, parts, rows);
  return true;
}

}  // namespace daybreak
