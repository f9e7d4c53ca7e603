// A product through workgroup memory with f32 accumulation: SPAN * 64 rows and columns a workgroup, of which each of
// 16 x 16 threads computes SPAN x SPAN blocks of 4 x 4.
//   a and b by lib/dense_block.wgsl, or block-quantised columns by lib/nbits_block.wgsl (NBITS); bias?  ->  y
//   consts: NBITS, SPAN, A_ALONG_M, B_ALONG_N (the axis of a quad; else K)   params: k, tiles_m, tiles_n, those of the block
#if NBITS
#include "lib/nbits.wgsl"
#include "lib/nbits_block.wgsl"
#else
#include "lib/dense_block.wgsl"
#endif

const TILE = 64u * SPAN;
const DEPTH = 16u / SPAN;      // of K a step; keeps both tiles below 16 KiB
const QUADS = TILE / 4u;
const ROW = QUADS + 1u;        // padded against bank conflicts
const LOADS = QUADS * DEPTH / 256u;
var<workgroup> left: array<vec4<f32>, DEPTH * ROW>;
var<workgroup> right: array<vec4<f32>, DEPTH * ROW>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = group_index(group);
  let batch = tile / (params.tiles_m * params.tiles_n);
  let m0 = tile / params.tiles_n % params.tiles_m * TILE;
  let n0 = tile % params.tiles_n * TILE;
  let from_a = a_base(batch);
  let from_b = b_base(batch);
  let tm = tid / 16u;
  let tn = tid % 16u;
  var acc = array<vec4<f32>, 4u * SPAN * SPAN>();
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    var av = array<vec4<f32>, LOADS>();
    var bv = array<vec4<f32>, LOADS>();
    for (var i = 0u; i < LOADS; i++) {
      let at = tid + i * 256u;
      if (A_ALONG_M) { av[i] = a_quad(from_a, m0 + at % QUADS * 4u, k0 + at / QUADS); }
      else { av[i] = a_quad(from_a, m0 + at / (DEPTH / 4u), k0 + at % (DEPTH / 4u) * 4u); }
      if (B_ALONG_N) { bv[i] = b_quad(from_b, n0 + at % QUADS * 4u, k0 + at / QUADS); }
      else { bv[i] = b_quad(from_b, n0 + at / (DEPTH / 4u), k0 + at % (DEPTH / 4u) * 4u); }
    }
    workgroupBarrier();
    for (var i = 0u; i < LOADS; i++) {
      let at = tid + i * 256u;
      let across = at / QUADS * ROW + at % QUADS;
      let row = at / (DEPTH / 4u);
      let along = at % (DEPTH / 4u) * 4u * ROW + row / 4u;
      if (A_ALONG_M) { left[across] = av[i]; }
      else { for (var j = 0u; j < 4u; j++) { left[along + j * ROW][row % 4u] = av[i][j]; } }
      if (B_ALONG_N) { right[across] = bv[i]; }
      else { for (var j = 0u; j < 4u; j++) { right[along + j * ROW][row % 4u] = bv[i][j]; } }
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      var r = array<vec4<f32>, SPAN>();
      for (var j = 0u; j < SPAN; j++) { r[j] = right[k * ROW + j * 16u + tn]; }
      for (var i = 0u; i < SPAN; i++) {
        let l = left[k * ROW + i * 16u + tm];
        for (var e = 0u; e < 4u; e++) {
          for (var j = 0u; j < SPAN; j++) { acc[(i * 4u + e) * SPAN + j] += l[e] * r[j]; }
        }
      }
    }
  }
  for (var i = 0u; i < 4u * SPAN; i++) {
    let m = m0 + (i / 4u * 16u + tm) * 4u + i % 4u;
    for (var j = 0u; j < SPAN; j++) {
      for (var e = 0u; e < 4u; e++) { result(batch, m, n0 + (j * 16u + tn) * 4u + e, acc[i * SPAN + j][e]); }
    }
  }
}
