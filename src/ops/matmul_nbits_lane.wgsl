// Few rows times block-quantised columns, one column a thread: for processors whose lanes share their loads of x.
// M rows a thread.
//   x, w (words), scales, zeros?, bias?  ->  y     consts and params as in matmul_nbits_gemv, without SPLIT; params: row_tiles
#include "lib/nbits.wgsl"
#include "lib/nbits_block.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = group_index(group);
  let column = tile / params.row_tiles * WG + tid;
  let first = tile % params.row_tiles * M;
  let n = min(column, params.n - 1u);
  let chunks = BLOCK / CHUNK;
  var acc: array<f32, M>;
  for (var b = 0u; b < params.blocks; b++) {
    var sums = array<f32, M>();
    var dots = array<f32, M>();
    for (var c = 0u; c < chunks; c++) {
      let words = w[(n * params.blocks + b) * chunks + c];
      for (var i = 0u; i < CHUNK; i += 4u) {
        let q = q_quad(word(words, i / Q_PER_WORD), i % Q_PER_WORD);
        for (var m = 0u; m < M; m++) {
          let v = x_quad(min(first + m, params.m - 1u), b * BLOCK + c * CHUNK + i);
          sums[m] += dot(v, vec4(1.0));
          dots[m] += dot(q, v);
        }
      }
    }
    let scale = f32(scales[n * params.blocks + b]);
    let zero = zero_point(n, b);
    for (var m = 0u; m < M; m++) { acc[m] += scale * (Q_SPAN * dots[m] - (Q_SPAN + zero) * sums[m]); }
  }
  for (var m = 0u; m < M; m++) { store(first + m, column, acc[m]); }
}
