// The scores of attention as an output of their own; a workgroup takes one query row of one head.
//   q, k_cache, seqlens?, bias?, sink? -> y [batch, heads, seq, keys]    V: f32 or vec4<f32>, the vector of q and keys
//   D: vectors of a head; SOFTMAX: probabilities, 0 where a pair is masked; otherwise scores, `hidden` where
//   causality, window or length hide a key
//   lists (vectors): q_stride, k_stride (batch, head, row, first)
//   params: rows (batch * heads * seq), heads, group, seq, keys, past, scale, hidden
#include "lib/attention_keys.wgsl"
#include "lib/kv_cache.wgsl"
#include "lib/attention_score.wgsl"

var<workgroup> query: array<V, D>;

// Scaled product of the query row with the key whose row begins at `at`.
fn product(at: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < D; d++) {
#if VECTOR
    sum += dot(query[d], key_vector(at, d));
#else
    sum += query[d] * key_vector(at, d);
#endif
  }
  return sum * params.scale;
}

#if SOFTMAX
alias Part = vec2<f32>;  // (largest score, sum of exp(score - largest))
var<workgroup> parts: array<Part, WG>;

fn merge(a: Part, b: Part) -> Part {
  let top = max(a.x, b.x);
  return Part(top, a.y * exp(a.x - top) + b.y * exp(b.x - top));
}

fn merge_all(part: Part, thread: u32) -> Part {
  parts[thread] = part;
  for (var n = WG / 2u; n > 0u; n /= 2u) {
    workgroupBarrier();
    if (thread < n) { parts[thread] = merge(parts[thread], parts[thread + n]); }
  }
  workgroupBarrier();
  return parts[0];
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group_index(group_id);
  if (row >= params.rows) { return; }
  let s = row % params.seq;
  let head = row / params.seq % params.heads;
  let b = row / params.seq / params.heads;
  let keys = keys_of(b, s, s);
  let q_first = b * q_stride_at(0u) + head * q_stride_at(1u) + s * q_stride_at(2u) + q_stride_at(3u);
  let k_first = b * k_stride_at(0u) + head / params.group * k_stride_at(1u) + k_stride_at(3u);
  for (var d = thread; d < D; d += WG) { query[d] = V(q[q_first + d]); }
  workgroupBarrier();

#if SOFTMAX
  var part = Part(LOWEST, 0.0);
  for (var t = keys.begin + thread; t < keys.end; t += WG) {
    let score = score_of(product(k_first + t * k_stride_at(2u)), b, head, s, t, keys.past, keys.end);
    part = merge(part, Part(score, select(1.0, 0.0, score == LOWEST)));
  }
  let all = merge_all(part, thread);
  let share = share_of(all.x, all.y, head);
#endif
  for (var t = thread; t < params.keys; t += WG) {
    var value = params.hidden;
    if (sees(s, t, keys.past, keys.end)) {
      let raw = product(k_first + t * k_stride_at(2u));
#if SOFTMAX
      let score = score_of(raw, b, head, s, t, keys.past, keys.end);
      value = select(exp(score - all.x) * share, 0.0, score == LOWEST);
#else
      value = unmasked(raw, b, head, s, t);
#endif
    }
    y_put(row * params.keys + t, value);
  }
}
