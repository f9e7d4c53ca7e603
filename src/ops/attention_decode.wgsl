// Attention of few query rows (ROWS of the group of one kv head) with a share of the keys. A team of LANES threads
// takes every TEAMS-th key: no barrier and no workgroup memory inside the loop, each key read once for all rows.
//   FUSED: q, k, v are the new rows as the projections left them; the kernel normalises and rotates q, and the thread
//   that would read a new key from the cache makes it and stores it there. GROW: it copies the past as well.
//   SPLIT: several workgroups share the keys; y holds partial sums, which attention_merge joins.
//   FUSED:  q, k, v, seqlens, cos_cache?, sin_cache?, ids?, q_norm?, k_norm?, k_past?, v_past?, bias?, sink?
//           -> k_cache, v_cache, y    params: kv_seq, q_row, kv_row (vectors of a token), first_k, first_v (offsets),
//           past_rows, half, positions, eps as in attention_append; keys is the caches' number of rows
//   !FUSED: q, k_cache, v_cache, seqlens?, bias?, sink? -> y    lists (vectors): q_stride, k_stride, v_stride
//   All but seqlens, ids, bias and sink are bound four elements a vector
//   D, DV: vectors of a head of q and k, of v (equal if FUSED); LANES divides SG, the subgroup size; UNROLL: keys in flight
//   lists: y_stride (without SPLIT)    params: tiles, splits, group, kv_heads, seq, keys, past, scale
#include "lib/attention_split.wgsl"
#include "lib/attention_score.wgsl"
#include "lib/attention_load.wgsl"

alias V = vec4<f32>;

const TEAMS = WG / LANES;
const CHUNK = TEAMS * UNROLL;
const VK = (D + LANES - 1u) / LANES;   // vectors of a key that a thread holds
const VV = (DV + LANES - 1u) / LANES;  // vectors of a value
const SUBS = WG / SG;

var<workgroup> sub_sums: array<V, SUBS * ROWS * DV>;
var<workgroup> sub_stats: array<vec2<f32>, SUBS * ROWS>;  // largest score, sum of exp(score - largest)

var<private> query: array<V, ROWS * VK>;
var<private> key: array<V, UNROLL * VK>;
var<private> value: array<V, UNROLL * VV>;
var<private> sums: array<V, ROWS * VV>;
var<private> stats: array<vec2<f32>, ROWS>;

// Adds the loaded chunk to the running sums.
fn absorb(p: Place, first: u32) {
  for (var r = 0u; r < ROWS; r++) {
    var scores = array<f32, UNROLL>();
    var top = stats[r].x;
    for (var u = 0u; u < UNROLL; u++) {
      var s = 0.0;
      for (var n = 0u; n < VK; n++) { s += dot(query[r * VK + n], key[u * VK + n]); }
      for (var step = LANES / 2u; step > 0u; step /= 2u) { s += subgroupShuffleXor(s, step); }
      scores[u] = score_of(s, p.b, head_of(p, r), row_of(p, r) / params.group, first + u * TEAMS, p.keys.past,
                           p.keys.end);
      top = max(top, scores[u]);
    }
    let keep = exp(stats[r].x - top);
    var total = stats[r].y * keep;
    for (var n = 0u; n < VV; n++) { sums[r * VV + n] *= keep; }
    for (var u = 0u; u < UNROLL; u++) {
      let w = select(exp(scores[u] - top), 0.0, scores[u] == LOWEST);
      total += w;
      // A hidden key's value is whatever its memory holds, NaN included.
      for (var n = 0u; n < VV; n++) { sums[r * VV + n] += select(V(), w * value[u * VV + n], vec4(w > 0.0)); }
    }
    stats[r] = vec2(top, total);
  }
}

// Joins the teams of a subgroup.
fn join_teams() {
  for (var r = 0u; r < ROWS; r++) {
    for (var step = LANES; step < SG; step *= 2u) {
      let top = max(stats[r].x, subgroupShuffleXor(stats[r].x, step));
      let keep = exp(stats[r].x - top);
      let total = stats[r].y * keep;
      stats[r] = vec2(top, total + subgroupShuffleXor(total, step));
      for (var n = 0u; n < VV; n++) {
        let v = sums[r * VV + n] * keep;
        sums[r * VV + n] = v + subgroupShuffleXor(v, step);
      }
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = group_index(group_id);
  let p = place_of(flat / params.splits);
  let split = split_of(p);
  let begin = p.keys.begin + flat % params.splits * split.each;
  let end = min(p.stop, begin + split.each);
#if SPLIT
  if (begin >= end) { return; }
#endif
  let lane = thread % LANES;
  let team = thread / LANES;
  for (var r = 0u; r < ROWS; r++) { stats[r] = vec2(LOWEST, 0.0); }
  load_query(p, lane);
  for (var base = begin; base < end; base += CHUNK) {
    load_keys(p, base + team, lane);
#if FUSED
    if (base + CHUNK > p.keys.past) { make_keys(p, base + team, lane); }
    if (p.first_row + ROWS >= params.seq * params.group) { store_keys(p, base + team, lane); }
#endif
    absorb(p, base + team);
  }

  join_teams();
  let sub = thread / SG;
  if (thread % SG < LANES) {
    for (var r = 0u; r < ROWS; r++) {
      if (lane == 0u) { sub_stats[sub * ROWS + r] = stats[r]; }
      for (var n = 0u; n < VV; n++) {
        if (lane + n * LANES < DV) { sub_sums[(sub * ROWS + r) * DV + lane + n * LANES] = sums[r * VV + n]; }
      }
    }
  }
  workgroupBarrier();
  for (var e = thread; e < ROWS * DV; e += WG) {
    let r = e / DV;
    var top = LOWEST;
    for (var i = 0u; i < SUBS; i++) { top = max(top, sub_stats[i * ROWS + r].x); }
    var total = 0.0;
    var sum = V();
    for (var i = 0u; i < SUBS; i++) {
      let keep = exp(sub_stats[i * ROWS + r].x - top);
      total += sub_stats[i * ROWS + r].y * keep;
      sum += sub_sums[(i * ROWS + r) * DV + e % DV] * keep;
    }
#if SPLIT
    let line = flat * ROWS * (DV + 1u);
    y[line + e] = sum;
    if (e % DV == 0u) { y[line + ROWS * DV + r] = vec4(top, total, 0.0, 0.0); }
#else
    if (p.first_row + r < params.seq * params.group) {
      let s = row_of(p, r) / params.group;
      let at = p.b * y_stride_at(0u) + head_of(p, r) * y_stride_at(1u) + s * y_stride_at(2u) + y_stride_at(3u);
      y[at + e % DV] = y_t(sum * share_of(top, total, head_of(p, r)));
    }
#endif
  }
}
