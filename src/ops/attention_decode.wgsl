// Attention of few query rows (ROWS of the group of one kv head) with a share of the keys. A team of LANES threads
// takes every TEAMS-th key: no barrier and no workgroup memory inside the loop, each key read once for all rows.
// Numbers of all rows travel together in an R (f32 or a vector of ROWS), so that compilers keep them in registers.
//   FUSED: q, k, v are the new rows as the projections left them; the kernel normalises and rotates q, makes the new
//   keys and stores them in the cache. GROW: the caches that it reads are the past; it copies them as well.
//   SPLIT: several workgroups share the keys; y holds partial sums, which attention_merge joins.
//   FUSED:  q, k, v, seqlens, cos_cache?, sin_cache?, ids?, q_norm?, k_norm?, bias?, sink? -> k_cache, v_cache, y
//           GROW: k_cache and v_cache are inputs, and k_new and v_new outputs    params: kv_seq, q_row, kv_row (vectors of a token), first_k, first_v (offsets),
//           past_rows, half, positions, eps as in attention_append; keys is the caches' number of rows
//   !FUSED: q, k_cache, v_cache, seqlens?, bias?, sink? -> y    lists (vectors): q_stride, k_stride, v_stride
//   All but seqlens, ids, bias, sink and y are bound four elements a vector, and packed caches as words
//   D, DV: vectors of a head of q and k, of v (equal if FUSED); LANES divides SG, the subgroup size;
//   UNROLL: keys that are taken at once; VK, VV: vectors of a key and of a value that a thread holds
//   lists: y_stride (without SPLIT)    params: splits, seq, keys, past, scale    grid: splits, row tiles
#include "lib/attention_split.wgsl"
#include "lib/attention_score.wgsl"

alias V = vec4<f32>;

#include "lib/kv_cache.wgsl"
#if KV_PACKED
#include "lib/kv_pack.wgsl"
fn partner(x: V, step: u32, thread: u32) -> V { return subgroupShuffleXor(x, step); }
#endif

const TEAMS = WG / LANES;
const CHUNK = TEAMS * UNROLL;
const SUBS = WG / SG;

var<workgroup> sub_sums: array<R, SUBS * DV * 4u>;
var<workgroup> sub_tops: array<R, SUBS>;     // largest score
var<workgroup> sub_weights: array<R, SUBS>;  // sum of exp(score - largest)

#include "lib/attention_load.wgsl"
#include "lib/attention_sums.wgsl"

// Scores of all rows with key t.
fn scores_of(p: Place, query: Query, key: Key, t: u32, lane: u32) -> R {
  var s = R();
#for n VK
  {
#if KV_PACKED
    let x = numbers_of(key.v$n, lane);
#else
    let x = V(key.v$n);
#endif
    s += query.x$n * x.x + query.y$n * x.y + query.z$n * x.z + query.w$n * x.w;
  }
#endfor
  for (var step = LANES / 2u; step > 0u; step /= 2u) { s += subgroupShuffleXor(s, step); }
#if KV_PACKED
  s *= factor_of(key.header);
#endif
#if EACH_ROW
  var each = array<f32, 4>();
#for r ROWS
  each[$r] = score_of(row_at(s, $ru), p.b, head_of(p, $ru), row_of(p, $ru) / GROUP, t, p.keys.past, p.keys.end);
#endfor
  return rows_of(each);
#else
  return select(R(LOWEST), s, R(f32(t)) < R(f32(p.keys.end)));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let p = place_of(group_id.y);
  if (p.rows == 0u) { return; }
  let lane = thread % LANES;
  let team = thread / LANES;
  // Keys are on their way while the queries come. Unless there is a window, no length decides where they begin: the first
  // loads do not wait for one.
#if SPLIT
  let begin = p.keys.begin + group_id.x * CHUNK;
  let step = params.splits * CHUNK;
#else
  let begin = p.keys.begin;
  let step = CHUNK;
#endif
#for u UNROLL
  var key$u = load_key(p, begin + team + $uu * TEAMS, lane);
  var value$u = load_value(p, begin + team + $uu * TEAMS, lane);
#endfor
  let cached = cached_of(p);
  let end = p.stop;
#if SPLIT
  if (group_id.x >= splits_of(p)) { return; }
  let makes = cached < end && group_id.x == (cached - p.keys.begin) / CHUNK % params.splits;
#else
  let makes = cached < end;
#endif
#if FUSED
  var new_k = Key();
  var new_v = Value();
  if (makes) {
    new_k = new_key(p, cached + team, lane);
    new_v = new_value(p, cached + team, lane);
  }
#endif
  let query = load_query(p, lane);
  var sums = Sums();
  sums.top = R(LOWEST);
#if FUSED
  let stores = p.first_row + ROWS >= p.rows;
  for (var first = select(end, cached, makes); first < end; first += TEAMS) {
    let t = first + team;
    if (first > cached) {
      new_k = new_key(p, t, lane);
      new_v = new_value(p, t, lane);
    }
    if (stores && t < end) { store(p, t, lane, new_k, new_v); }
    let scores = select(R(LOWEST), scores_of(p, query, new_k, t, lane), R(f32(t)) < R(f32(end)));
    sums = added(raised(sums, max(sums.top, scores)), scores, new_v, t < end, lane);
  }
#endif
  for (var base = begin; base < cached; base += step) {
    let t = base + team;
    // The next keys are on their way while these are used.
#for u UNROLL
    var later_key$u = Key();
    var later_value$u = Value();
#endfor
    if (base + step < cached) {
#for u UNROLL
      later_key$u = load_key(p, t + step + $uu * TEAMS, lane);
      later_value$u = load_value(p, t + step + $uu * TEAMS, lane);
#endfor
    }
    var top = sums.top;
#for u UNROLL
#if GROW
    if (stores && t + $uu * TEAMS < cached) { store(p, t + $uu * TEAMS, lane, key$u, value$u); }
#endif
    let scores$u = select(R(LOWEST), scores_of(p, query, key$u, t + $uu * TEAMS, lane),
                          R(f32(t + $uu * TEAMS)) < R(f32(cached)));
    top = max(top, scores$u);
#endfor
    sums = raised(sums, top);
#for u UNROLL
    sums = added(sums, scores$u, value$u, t + $uu * TEAMS < cached, lane);
#endfor
#for u UNROLL
    key$u = later_key$u;
    value$u = later_value$u;
#endfor
  }

  sums = joined(sums);
  let sub = thread / SG;
  if (thread % SG < LANES) {
    if (lane == 0u) {
      sub_tops[sub] = sums.top;
      sub_weights[sub] = sums.weight;
    }
#for n VV
    if (lane + $nu * LANES < DV) {
      let at = (sub * DV + lane + $nu * LANES) * 4u;
      sub_sums[at] = sums.x$n;
      sub_sums[at + 1u] = sums.y$n;
      sub_sums[at + 2u] = sums.z$n;
      sub_sums[at + 3u] = sums.w$n;
    }
#endfor
  }
  workgroupBarrier();
  var top = R(LOWEST);
  for (var i = 0u; i < SUBS; i++) { top = max(top, sub_tops[i]); }
  for (var e = thread; e < DV * 4u; e += WG) {
    var weight = R();
    var sum = R();
    for (var i = 0u; i < SUBS; i++) {
      let keep = exp(sub_tops[i] - top);
      weight += sub_weights[i] * keep;
      sum += sub_sums[i * DV * 4u + e] * keep;
    }
#for r ROWS
    give(p, group_id.y * params.splits + group_id.x, $ru, e, row_at(sum, $ru), row_at(top, $ru), row_at(weight, $ru));
#endfor
  }
}

// Element e of row r: the sum of its values, with the row's largest score and weight.
fn give(p: Place, part: u32, r: u32, e: u32, sum: f32, largest: f32, total: f32) {
#if SPLIT
  let line = part * ROWS * (DV + 1u) * 4u;
  y[line + r * DV * 4u + e] = sum;
  if (e == 0u) {
    y[line + (ROWS * DV + r) * 4u] = largest;
    y[line + (ROWS * DV + r) * 4u + 1u] = total;
  }
#else
  if (p.first_row + r < p.rows) {
    y_put(output_of(p, r) * 4u + e, sum * share_of(largest, total, head_of(p, r)));
  }
#endif
}
