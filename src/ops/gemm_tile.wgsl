// C = A * B (+ bias) through workgroup memory, f32 accumulation: a 64 x 64 tile a workgroup, 4 x 4 results a thread.
//   a [batch][M][K], b [batch][K][N] by strides, or block-quantised columns (NBITS); bias?  ->  y [batch][M][N]
//   consts: NBITS, BIAS (+ those of lib/nbits_block)   params: m, n, k, tiles_n, a_m, a_k, b_k, b_n, alpha, beta, ...
#if NBITS
#include "lib/nbits.wgsl"
#include "lib/nbits_block.wgsl"
#else
#include "lib/dense_block.wgsl"
#endif

const TILE = 64u;
const DEPTH = 16u;
const ROW = TILE + 4u;  // padded against bank conflicts
var<workgroup> left: array<f32, DEPTH * ROW>;
var<workgroup> right: array<f32, DEPTH * ROW>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = group_index(vec3(group.x, group.y, 0u));
  let batch = group.z;
  let m0 = tile / params.tiles_n * TILE;
  let n0 = tile % params.tiles_n * TILE;
  let load = tid / 4u;          // row of A or column of B that this thread stages
  let load_k = tid % 4u * 4u;
  let tm = tid / 16u * 4u;
  let tn = tid % 16u * 4u;
  var acc: array<vec4<f32>, 4>;
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    let av = a_quad(batch, m0 + load, k0 + load_k);
    let bv = b_quad(batch, n0 + load, k0 + load_k);
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      left[(load_k + i) * ROW + load] = av[i];
      right[(load_k + i) * ROW + load] = bv[i];
    }
    workgroupBarrier();
    for (var kk = 0u; kk < DEPTH; kk++) {
      let l = kk * ROW + tm;
      let r = kk * ROW + tn;
      let b = vec4(right[r], right[r + 1u], right[r + 2u], right[r + 3u]);
      for (var i = 0u; i < 4u; i++) { acc[i] += left[l + i] * b; }
    }
  }
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) { result(batch, m0 + tm + i, n0 + tn + j, acc[i][j]); }
  }
}
