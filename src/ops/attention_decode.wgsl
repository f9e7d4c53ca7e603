// Attention of few query rows (ROWS of the group of one kv head) with a share of the keys. A team of LANES threads
// takes every TEAMS-th key: no barrier and no workgroup memory inside the loop, each key read once for all rows.
// Numbers of all rows travel together in an R (f32 or a vector of ROWS), so that compilers keep them in registers.
//   FUSED: q, k, v are the new rows as the projections left them; the kernel normalises and rotates q, and the thread
//   that would read a new key from the cache makes it and stores it there. GROW: it copies the past as well.
//   SPLIT: several workgroups share the keys; y holds partial sums, which attention_merge joins.
//   FUSED:  q, k, v, seqlens, cos_cache?, sin_cache?, ids?, q_norm?, k_norm?, k_past?, v_past?, bias?, sink?
//           -> k_cache, v_cache, y    params: kv_seq, q_row, kv_row (vectors of a token), first_k, first_v (offsets),
//           past_rows, half, positions, eps as in attention_append; keys is the caches' number of rows
//   !FUSED: q, k_cache, v_cache, seqlens?, bias?, sink? -> y    lists (vectors): q_stride, k_stride, v_stride
//   All but seqlens, ids, bias, sink and y are bound four elements a vector
//   D, DV: vectors of a head of q and k, of v (equal if FUSED); LANES divides SG, the subgroup size; UNROLL: keys in flight
//   lists: y_stride (without SPLIT)    params: splits, seq, keys, past, scale    grid: splits, row tiles
#include "lib/attention_split.wgsl"
#include "lib/attention_score.wgsl"
#include "lib/attention_load.wgsl"

alias V = vec4<f32>;

const TEAMS = WG / LANES;
const CHUNK = TEAMS * UNROLL;
const VK = (D + LANES - 1u) / LANES;   // vectors of a key that a thread holds
const VV = (DV + LANES - 1u) / LANES;  // vectors of a value
const SUBS = WG / SG;

var<workgroup> sub_sums: array<R, SUBS * DV * 4u>;
var<workgroup> sub_tops: array<R, SUBS>;     // largest score
var<workgroup> sub_weights: array<R, SUBS>;  // sum of exp(score - largest)

var<private> query: array<R, VK * 4u>;  // element by element
var<private> key: array<V, UNROLL * VK>;
var<private> value: array<V, UNROLL * VV>;
var<private> sums: array<R, VV * 4u>;
var<private> top: R;
var<private> weight: R;

// Scores of all rows with the key in slot u.
fn scores_of(p: Place, u: u32, t: u32) -> R {
  var s = R();
  for (var n = 0u; n < VK; n++) {
    let x = key[u * VK + n];
    s += query[n * 4u] * x.x + query[n * 4u + 1u] * x.y + query[n * 4u + 2u] * x.z + query[n * 4u + 3u] * x.w;
  }
  for (var step = LANES / 2u; step > 0u; step /= 2u) { s += subgroupShuffleXor(s, step); }
#if EACH_ROW
  var each = array<f32, 4>();
  for (var r = 0u; r < ROWS; r++) {
    each[r] = score_of(row_at(s, r), p.b, head_of(p, r), row_of(p, r) / GROUP, t, p.keys.past, p.keys.end);
  }
  return rows_of(each);
#else
  return select(R(LOWEST), s, R(f32(t)) < R(f32(p.keys.end)));
#endif
}

// Adds the loaded chunk to the running sums.
fn absorb(p: Place, first: u32) {
  var scores: array<R, UNROLL>;
  var next = top;
  for (var u = 0u; u < UNROLL; u++) {
    scores[u] = scores_of(p, u, first + u * TEAMS);
    next = max(next, scores[u]);
  }
  let keep = exp(top - next);
  top = next;
  weight *= keep;
  for (var n = 0u; n < VV * 4u; n++) { sums[n] *= keep; }
  for (var u = 0u; u < UNROLL; u++) {
    let w = select(exp(scores[u] - top), R(), scores[u] == R(LOWEST));
    weight += w;
    for (var n = 0u; n < VV; n++) {
      // Memory behind the last key may hold anything, NaN included.
      let x = select(V(), value[u * VV + n], vec4(first + u * TEAMS < p.keys.end));
      sums[n * 4u] += w * x.x;
      sums[n * 4u + 1u] += w * x.y;
      sums[n * 4u + 2u] += w * x.z;
      sums[n * 4u + 3u] += w * x.w;
    }
  }
}

// Joins the teams of a subgroup.
fn join_teams() {
  for (var step = LANES; step < SG; step *= 2u) {
    let next = max(top, subgroupShuffleXor(top, step));
    let keep = exp(top - next);
    top = next;
    weight *= keep;
    weight += subgroupShuffleXor(weight, step);
    for (var n = 0u; n < VV * 4u; n++) {
      sums[n] *= keep;
      sums[n] += subgroupShuffleXor(sums[n], step);
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let p = place_of(group_id.y);
  let split = split_of(p);
  let begin = p.keys.begin + group_id.x * split.each;
  let end = min(p.stop, begin + split.each);
#if SPLIT
  if (begin >= end) { return; }
#endif
  let lane = thread % LANES;
  let team = thread / LANES;
  top = R(LOWEST);
  if (begin < end) { load_keys(p, begin + team, lane); }  // on its way while the queries come
  load_query(p, lane);
  for (var base = begin; base < end; base += CHUNK) {
#if FUSED
    if (base + CHUNK > p.keys.past) { make_keys(p, base + team, lane); }
    if (p.first_row + ROWS >= params.seq * GROUP) { store_keys(p, base + team, lane); }
#endif
    absorb(p, base + team);
    if (base + CHUNK < end) { load_keys(p, base + CHUNK + team, lane); }
  }

  join_teams();
  let sub = thread / SG;
  if (thread % SG < LANES) {
    if (lane == 0u) {
      sub_tops[sub] = top;
      sub_weights[sub] = weight;
    }
    for (var n = 0u; n < VV; n++) {
      let at = (sub * DV + lane + n * LANES) * 4u;
      if (lane + n * LANES < DV) {
        sub_sums[at] = sums[n * 4u];
        sub_sums[at + 1u] = sums[n * 4u + 1u];
        sub_sums[at + 2u] = sums[n * 4u + 2u];
        sub_sums[at + 3u] = sums[n * 4u + 3u];
      }
    }
  }
  workgroupBarrier();
  top = R(LOWEST);
  for (var i = 0u; i < SUBS; i++) { top = max(top, sub_tops[i]); }
  for (var e = thread; e < DV * 4u; e += WG) {
    weight = R();
    var sum = R();
    for (var i = 0u; i < SUBS; i++) {
      let keep = exp(sub_tops[i] - top);
      weight += sub_weights[i] * keep;
      sum += sub_sums[i * DV * 4u + e] * keep;
    }
    for (var r = 0u; r < ROWS; r++) { store(p, group_id.y * params.splits + group_id.x, r, e, row_at(sum, r), row_at(top, r), row_at(weight, r)); }
  }
}

// Element e of row r: the sum of its values, with the row's largest score and weight.
fn store(p: Place, part: u32, r: u32, e: u32, sum: f32, largest: f32, total: f32) {
#if SPLIT
  let line = part * ROWS * (DV + 1u) * 4u;
  y[line + r * DV * 4u + e] = sum;
  if (e == 0u) {
    y[line + (ROWS * DV + r) * 4u] = largest;
    y[line + (ROWS * DV + r) * 4u + 1u] = total;
  }
#else
  if (p.first_row + r < params.seq * GROUP) {
    y_put(output_of(p, r) * 4u + e, sum * share_of(largest, total, head_of(p, r)));
  }
#endif
}
