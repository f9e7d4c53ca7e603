// Normalisation over rows of `cols` elements, v = x + skip + bias:
//   CENTER:  y = (v - mean(v)) / sqrt(mean((v - mean(v))^2) + eps) * scale + beta
//   !CENTER: y = v / sqrt(mean(v^2) + eps) * scale (+ beta)
// A team of TEAM threads takes a row. A thread keeps its first PER vectors in registers and reads the others again.
//   x, scale, skip?, bias?, beta? -> y, sum? (= v), mean?, inv?     V: f32 or vec4<f32>, the vector of a binding
//   params: rows, cols, vecs (cols / width), skip_rows (rows of skip, repeated), eps
#include "lib/team_sum.wgsl"

fn load(row: u32, i: u32) -> V {
  var v = V(x[row * params.vecs + i]);
#if SKIP
  v += V(skip[row % params.skip_rows * params.vecs + i]);
#endif
#if BIAS
  v += V(bias[i]);
#endif
  return v;
}

fn total(v: V) -> f32 {
#if VECTOR
  return dot(v, V(1.0));
#else
  return v;
#endif
}

fn store(row: u32, i: u32, v: V, inv: f32) {
  var r = v * inv * V(scale[i]);
#if BETA
  r += V(beta[i]);
#endif
  y[row * params.vecs + i] = y_t(r);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group_index(group) * (WG / TEAM) + thread / TEAM;
  let lane = thread % TEAM;
  let end = select(0u, params.vecs, row < params.rows);  // rows beyond the last have no elements
  let count = f32(params.cols);

  var held: array<V, PER>;
  for (var k = 0u; k < PER; k++) {
    let i = lane + k * TEAM;
    if (i < end) { held[k] = load(row, i); }
  }
  var mean = 0.0;
#if CENTER
  var sum_v = 0.0;
  for (var k = 0u; k < PER; k++) { sum_v += total(held[k]); }
  for (var i = lane + PER * TEAM; i < end; i += TEAM) { sum_v += total(load(row, i)); }
  mean = team_sum(sum_v, thread) / count;
#endif
  var squares = 0.0;
  for (var k = 0u; k < PER; k++) {
    let d = held[k] - mean;
    if (lane + k * TEAM < end) { squares += total(d * d); }
  }
  for (var i = lane + PER * TEAM; i < end; i += TEAM) {
    let d = load(row, i) - mean;
    squares += total(d * d);
  }
  let inverse = inverseSqrt(team_sum(squares, thread) / count + params.eps);

  for (var k = 0u; k < PER; k++) {
    let i = lane + k * TEAM;
    if (i < end) {
      store(row, i, held[k] - mean, inverse);
#if SUM
      sum[row * params.vecs + i] = sum_t(held[k]);
#endif
    }
  }
  for (var i = lane + PER * TEAM; i < end; i += TEAM) {
    let v = load(row, i);
    store(row, i, v - mean, inverse);
#if SUM
    sum[row * params.vecs + i] = sum_t(v);
#endif
  }
  if (lane == 0u && row < params.rows) {
#if MEAN_OUT
    mean_out_put(row, mean);
#endif
#if INV_OUT
    inv_out_put(row, inverse);
#endif
  }
}
