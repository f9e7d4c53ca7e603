// Attention of one new token over a cache of f16: two workgroups for each query head of each batch entry, both of which
// read all keys of its kv head, and half of every value each. The new key and value come from the projections; the last
// head of a group stores them.
// What one core reads decides, some 50 bytes a nanosecond; sharing keys out instead takes a second dispatch, which joins
// the parts. A team of LANES threads takes every TEAMS-th key: a thread has eight elements of keys and four of values. Two
// chunks of keys are on their way at a time.
//   q, k, v, seqlens, cos_cache?, sin_cache?, ids?, q_norm?, k_norm?, bias?, sink? -> k_cache (words, eight elements a
//   vector), v_cache (words, four elements a vector), y
//   consts: WG, SG (subgroup size), LANES, UNROLL (keys of a team in a chunk), D (vectors of four elements of a head),
//   GROUP, KV_HEADS, EACH_ROW (scores need more than their key's number)
//   params: seq (1), keys (rows of a cache), q_row, kv_row, first_k, first_v (vectors), half, positions, eps, scale
#include "lib/attention_keys.wgsl"
#include "lib/attention_score.wgsl"

alias V = vec4<f32>;

#include "lib/attention_rope.wgsl"

const TEAMS = WG / LANES;
const CHUNK = TEAMS * UNROLL;
const SUBS = WG / SG;
const HALF = 4u * LANES;  // elements of half a head

// A thread's elements of a query or key.
struct Part {
  a: V,
  b: V,
}

struct Sums {
  values: V,
  top: f32,     // largest score
  weight: f32,  // sum of exp(score - top)
}

var<workgroup> sub_values: array<f32, SUBS * HALF>;
var<workgroup> sub_stats: array<vec2<f32>, SUBS>;  // top and weight

fn four(words: vec2<u32>) -> V { return V(unpack2x16float(words.x), unpack2x16float(words.y)); }
fn in_words(x: V) -> vec2<u32> { return vec2(pack2x16float(x.xy), pack2x16float(x.zw)); }

fn team_sum(x: f32) -> f32 {
  var sum = x;
  for (var step = LANES / 2u; step > 0u; step /= 2u) { sum += subgroupShuffleXor(sum, step); }
  return sum;
}

fn product(x: Part, words: vec4<u32>) -> f32 {
  return team_sum(dot(x.a, four(words.xy)) + dot(x.b, four(words.zw)));
}

// The thread's part of the new head at `at` of q (kind 0) or k (kind 1).
fn fresh(kind: u32, at: u32, lane: u32, pos: u32) -> Part {
  var scale = 1.0;
#if QK_NORM
  let a = raw(kind, at + 2u * lane);
  let b = raw(kind, at + 2u * lane + 1u);
  scale = inverseSqrt(team_sum(dot(a, a) + dot(b, b)) / f32(4u * D) + params.eps);
#endif
  return Part(rotated(kind, at, 2u * lane, pos, scale), rotated(kind, at, 2u * lane + 1u, pos, scale));
}

fn score(raw: f32, b: u32, head: u32, t: u32, seen: Keys) -> f32 {
#if EACH_ROW
  return score_of(raw, b, head, 0u, t, seen.past, seen.end);
#else
  return select(LOWEST, raw, t < seen.end);
#endif
}

// The sums rescaled to a top that is no smaller.
fn raised(old: Sums, top: f32) -> Sums {
  let keep = exp(old.top - top);
  return Sums(old.values * keep, top, old.weight * keep);
}

// The sums of all teams of a subgroup.
fn joined(own: Sums) -> Sums {
  var top = own.top;
  for (var step = LANES; step < SG; step *= 2u) { top = max(top, subgroupShuffleXor(top, step)); }
  var s = raised(own, top);
  for (var step = LANES; step < SG; step *= 2u) {
    s.weight += subgroupShuffleXor(s.weight, step);
    s.values += subgroupShuffleXor(s.values, step);
  }
  return s;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let half = group_index(group_id) % 2u;
  let flat = group_index(group_id) / 2u;
  let head = flat % (GROUP * KV_HEADS);
  let kv_head = head / GROUP;
  let b = flat / (GROUP * KV_HEADS);
  let lane = thread % LANES;
  let team = thread / LANES;
  let seen = keys_of(b, 0u, 0u);
  let past = seen.past;
  let begin = min(seen.begin, past);
  let first = (b * KV_HEADS + kv_head) * params.keys;  // row of the caches

  // No length decides where keys begin, unless there is a window: the first loads do not wait for one.
#for u UNROLL
  let row$u = first + min(begin + team + $uu * TEAMS, params.keys - 1u);
  var key$u = k_cache[row$u * LANES + lane];
  var value$u = v_cache[(2u * row$u + half) * LANES + lane];
#endfor
  let pos = position(b, 0u, past);
  let new_at = b * params.kv_row + kv_head * D;
  var query = fresh(0u, b * params.q_row + head * D, lane, pos);
  let turned = fresh(1u, new_at + params.first_k, lane, pos);
  let new_key = vec4(in_words(turned.a), in_words(turned.b));
  let new_value = in_words(V(v[new_at + params.first_v + half * LANES + lane]));
#for u UNROLL
  var later_key$u = vec4<u32>();
  var later_value$u = vec2<u32>();
#endfor
  if (begin + CHUNK < past) {
#for u UNROLL
    let later$u = first + min(begin + CHUNK + team + $uu * TEAMS, params.keys - 1u);
    later_key$u = k_cache[later$u * LANES + lane];
    later_value$u = v_cache[(2u * later$u + half) * LANES + lane];
#endfor
  }
  query = Part(query.a * params.scale, query.b * params.scale);

  var sums = Sums(V(), LOWEST, 0.0);
  let new_score = score(product(query, new_key), b, head, past, seen);
  if (team == 0u && new_score != LOWEST) { sums = Sums(four(new_value), new_score, 1.0); }
  if (team == 0u && head % GROUP == GROUP - 1u && past < params.keys) {
    if (half == 0u) { k_cache[(first + past) * LANES + lane] = new_key; }
    v_cache[(2u * (first + past) + half) * LANES + lane] = new_value;
  }
  for (var base = begin; base < past; base += CHUNK) {
    let t = base + team;
    var top = sums.top;
#for u UNROLL
    let inside$u = t + $uu * TEAMS < past;
    let score$u = select(LOWEST, score(product(query, key$u), b, head, t + $uu * TEAMS, seen), inside$u);
    top = max(top, score$u);
    key$u = later_key$u;
#endfor
    sums = raised(sums, top);
#for u UNROLL
    {
      let share = select(exp(score$u - top), 0.0, score$u == LOWEST);
      // Memory behind the last key may hold anything, NaN included.
      sums.values += share * four(select(vec2<u32>(), value$u, vec2(inside$u)));
      sums.weight += share;
      value$u = later_value$u;
    }
#endfor
    if (base + 2u * CHUNK < past) {
#for u UNROLL
      let next$u = first + min(t + 2u * CHUNK + $uu * TEAMS, params.keys - 1u);
      later_key$u = k_cache[next$u * LANES + lane];
      later_value$u = v_cache[(2u * next$u + half) * LANES + lane];
#endfor
    }
  }

  sums = joined(sums);
  let sub = thread / SG;
  if (thread % SG < LANES) {
    if (lane == 0u) { sub_stats[sub] = vec2(sums.top, sums.weight); }
    for (var e = 0u; e < 4u; e++) { sub_values[sub * HALF + 4u * lane + e] = sums.values[e]; }
  }
  workgroupBarrier();
  var top = LOWEST;
  for (var i = 0u; i < SUBS; i++) { top = max(top, sub_stats[i].x); }
  for (var e = thread; e < HALF; e += WG) {
    var weight = 0.0;
    var sum = 0.0;
    for (var i = 0u; i < SUBS; i++) {
      let keep = exp(sub_stats[i].x - top);
      weight += sub_stats[i].y * keep;
      sum += sub_values[i * HALF + e] * keep;
    }
    y_put((2u * flat + half) * HALF + e, sum * share_of(top, weight, head));
  }
}
