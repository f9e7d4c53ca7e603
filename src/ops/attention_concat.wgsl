// Heads in the order that attention reads: y[b, head, t, :] is past[b, head, t, :] for the first past_rows t, then
// x (+ bias) with its own strides.
//   x, past?, bias? -> y    V: f32 or vec4<f32>, the vector of all of them; D: vectors of a head
//   lists (vectors): x_stride (batch, head, row, first)    params: count (vectors of y), rows (of y), past_rows, heads,
//   bias_first
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 64u + lane;
  if (i >= params.count) { return; }
  let t = i / D % params.rows;
  let line = i / D / params.rows;
#if PAST
  if (t < params.past_rows) {
    y[i] = past[(line * params.past_rows + t) * D + i % D];
    return;
  }
#endif
  let b = line / params.heads;
  let head = line % params.heads;
  let row = t - params.past_rows;
  var v = V(x[b * x_stride_at(0u) + head * x_stride_at(1u) + row * x_stride_at(2u) + x_stride_at(3u) + i % D]);
#if BIAS
  v += V(bias[params.bias_first + head * D + i % D]);
#endif
  y[i] = y_t(v);
}
