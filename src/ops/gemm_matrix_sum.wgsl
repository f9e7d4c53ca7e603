// Adds up what the slices of gemm_matrix left, four columns a thread.
//   part f32 [SLICES][rows][columns], bias?  ->  y [m][n]    params: size (of y), n, rows, columns, bias_m, bias_n, alpha, beta
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group_index(group) * 64u + lane) * 4u;
  if (i >= params.size) { return; }
  let m = i / params.n;
  let n = i % params.n;
  // All loads are on their way before the first is added.
#for s SLICES
  let part_$s = part[(($su * params.rows + m) * params.columns + n) / 4u];
#endfor
  var sum = part_0;
#for s SLICES
  if ($su > 0u) { sum += part_$s; }
#endfor
  sum *= params.alpha;
#if BIAS
  let at = m * params.bias_m + vec4(n, n + 1u, n + 2u, n + 3u) * params.bias_n;
  sum += params.beta * vec4(bias_get(at.x), bias_get(at.y), bias_get(at.z), bias_get(at.w));
#endif
  y[i / 4u] = y_t(sum);
}
