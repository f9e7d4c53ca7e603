// A dense product for few rows, or for a processor: a thread owns four columns of ROWS rows over a slice of K; the slices
// meet in workgroup memory. Every element of b is read once for ROWS rows.
//   a, b (vec4 along N), bias?  ->  y     consts: ROWS, WIDE (quads of columns), SLICES (of K), BIAS, BATCH_RANK
//   params: those of lib/dense_block, row_tiles, column_tiles
#include "lib/batch.wgsl"

var<workgroup> part: array<vec4<f32>, WIDE * SLICES * select(1u, ROWS, SLICES > 1u)>;

fn write(batch: u32, m: u32, n: u32, value: vec4<f32>) {
  if (m >= params.m || n >= params.n) { return; }
  for (var i = 0u; i < 4u; i++) {
    var v = params.alpha * value[i];
#if BIAS
    v += params.beta * bias_get(m * params.bias_m + (n + i) * params.bias_n);
#endif
    y[(batch * params.m + m) * params.n + n + i] = y_t(v);
  }
}

@compute @workgroup_size(WIDE * SLICES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = group_index(group);
  let m0 = tile % params.row_tiles * ROWS;
  let batch = tile / params.row_tiles / params.column_tiles;
  let n = (tile / params.row_tiles % params.column_tiles * WIDE + tid % WIDE) * 4u;
  let b_at = batch_base(batch, false) + min(n, params.n - 4u);
  let a_at = batch_base(batch, true);
  var rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) { rows[r] = a_at + min(m0 + r, params.m - 1u) * params.a_m; }
  var acc = array<vec4<f32>, ROWS>();
  for (var k = tid / WIDE; k < params.k; k += SLICES) {
    let w = vec4<f32>(b[(b_at + k * params.b_k) / 4u]);
    for (var r = 0u; r < ROWS; r++) { acc[r] += a_get(rows[r] + k * params.a_k) * w; }
  }
  if (SLICES == 1u) {
    for (var r = 0u; r < ROWS; r++) { write(batch, m0 + r, n, acc[r]); }
    return;
  }
  for (var r = 0u; r < ROWS; r++) { part[(r * SLICES + tid / WIDE) * WIDE + tid % WIDE] = acc[r]; }
  workgroupBarrier();
  for (var r = tid / WIDE; r < ROWS; r += SLICES) {
    var total = vec4<f32>();
    for (var s = 0u; s < SLICES; s++) { total += part[(r * SLICES + s) * WIDE + tid % WIDE]; }
    write(batch, m0 + r, n, total);
  }
}
