// A dense product of up to ROWS rows whose columns of b lie along K: a team of lanes takes a column, so that every element
// of b is read once and neighbouring lanes read neighbouring elements.
//   a, b (vec4 along K), bias?  ->  y     consts: WG, TEAM, SUBGROUPS, SG, FOUR (rows: 4, else 1), BIAS, BATCH_RANK
//   params: those of lib/dense_block, columns (of all batches)
#include "lib/batch.wgsl"
#include "lib/team_sum.wgsl"

fn write(batch: u32, m: u32, n: u32, value: f32) {
  if (m >= params.m) { return; }
  var v = params.alpha * value;
#if BIAS
  v += params.beta * bias_get(m * params.bias_m + n * params.bias_n);
#endif
  y_put((batch * params.m + m) * params.n + n, v);
}

fn a_at(base: u32, m: u32, k: u32) -> vec4<f32> {
  return vec4<f32>(a[(base + min(m, params.m - 1u) * params.a_m) / 4u + k]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let column = group_index(group) * (WG / TEAM) + tid / TEAM;
  let inside = min(column, params.columns - 1u);
  let batch = inside / params.n;
  let n = inside % params.n;
  let from_a = batch_base(batch, true);
  let from_b = (batch_base(batch, false) + n * params.b_n) / 4u;
  var acc = vec4<f32>();
  for (var k = tid % TEAM; k < params.k / 4u; k += TEAM) {
    let w = vec4<f32>(b[from_b + k]);
    acc.x += dot(a_at(from_a, 0u, k), w);
#if FOUR
    acc.y += dot(a_at(from_a, 1u, k), w);
    acc.z += dot(a_at(from_a, 2u, k), w);
    acc.w += dot(a_at(from_a, 3u, k), w);
#endif
  }
  acc.x = team_sum(acc.x, tid);
#if FOUR
  acc.y = team_sum(acc.y, tid);
  acc.z = team_sum(acc.z, tid);
  acc.w = team_sum(acc.w, tid);
#endif
  if (tid % TEAM != 0u || column >= params.columns) { return; }
  write(batch, 0u, n, acc.x);
#if FOUR
  write(batch, 1u, n, acc.y);
  write(batch, 2u, n, acc.z);
  write(batch, 3u, n, acc.w);
#endif
}
