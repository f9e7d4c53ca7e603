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
//   D, DV: vectors of a head of q and k, of v (equal if FUSED); LANES divides SG, the subgroup size; UNROLL: keys in flight;
//   VK, VV: vectors of a key and of a value that a thread holds
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

// Sums of all rows over the keys of a thread, element by element.
struct Sums {
#for n VV
  x$n: R,
  y$n: R,
  z$n: R,
  w$n: R,
#endfor
  top: R,     // largest score
  weight: R,  // sum of exp(score - top)
}

#include "lib/attention_load.wgsl"

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

// The sums rescaled to a larger top.
fn raised(old: Sums, top: R) -> Sums {
  var s = old;
  let keep = exp(old.top - top);
  s.top = top;
  s.weight *= keep;
#for n VV
  s.x$n *= keep;
  s.y$n *= keep;
  s.z$n *= keep;
  s.w$n *= keep;
#endfor
  return s;
}

// The sums with a value of these scores, none of which exceeds the top.
fn added(old: Sums, scores: R, value: Value, inside: bool, lane: u32) -> Sums {
  var s = old;
  let share = select(exp(scores - s.top), R(), scores == R(LOWEST));
  s.weight += share;
  // Memory behind the last key may hold anything, NaN included.
#if KV_PACKED
  let part = share * select(0.0, factor_of(value.header), inside);
#else
  let part = share;
#endif
#for n VV
  {
#if KV_PACKED
    let x = numbers_of(value.v$n, lane);
#else
    let x = select(V(), V(value.v$n), vec4(inside));
#endif
    s.x$n += part * x.x;
    s.y$n += part * x.y;
    s.z$n += part * x.z;
    s.w$n += part * x.w;
  }
#endfor
  return s;
}

// The sums of all teams of a subgroup.
fn joined(own: Sums) -> Sums {
  var s = own;
  for (var step = LANES; step < SG; step *= 2u) {
    s = raised(s, max(s.top, subgroupShuffleXor(s.top, step)));
    s.weight += subgroupShuffleXor(s.weight, step);
#for n VV
    s.x$n += subgroupShuffleXor(s.x$n, step);
    s.y$n += subgroupShuffleXor(s.y$n, step);
    s.z$n += subgroupShuffleXor(s.z$n, step);
    s.w$n += subgroupShuffleXor(s.w$n, step);
#endfor
  }
  return s;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let p = place_of(group_id.y);
  if (p.rows == 0u) { return; }
  let split = split_of(p);
  let begin = p.keys.begin + group_id.x * split.each;
  let end = min(p.stop, begin + split.each);
#if SPLIT
  if (begin >= end) { return; }
#endif
  let lane = thread % LANES;
  let team = thread / LANES;
  // Keys are on their way while the queries come.
#for u UNROLL
  var key$u = load_key(p, begin + team + $uu * TEAMS, lane);
  var value$u = load_value(p, begin + team + $uu * TEAMS, lane);
#endfor
  let query = load_query(p, lane);
  var sums = Sums();
  sums.top = R(LOWEST);
#if FUSED
  let cached = select(clamp(p.keys.past, begin, max(begin, end)), end, new_rows(p) == 0u);
  let stores = p.first_row + ROWS >= p.rows;
  for (var first = cached; first < end; first += TEAMS) {
    let t = first + team;
    let key = new_key(p, t, lane);
    let value = new_value(p, t, lane);
    if (stores && t < end) { store(p, t, lane, key, value); }
    let scores = select(R(LOWEST), scores_of(p, query, key, t, lane), R(f32(t)) < R(f32(end)));
    sums = added(raised(sums, max(sums.top, scores)), scores, value, t < end, lane);
  }
#else
  let cached = end;
#endif
  for (var base = begin; base < cached; base += CHUNK) {
    let t = base + team;
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
    if (base + CHUNK < cached) {
#for u UNROLL
      key$u = load_key(p, t + CHUNK + $uu * TEAMS, lane);
      value$u = load_value(p, t + CHUNK + $uu * TEAMS, lane);
#endfor
    }
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
