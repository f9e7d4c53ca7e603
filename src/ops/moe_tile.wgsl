// A projection for many tokens: a workgroup multiplies the rows of a tile, which go to one expert, with 64 columns
// through workgroup memory; each of 16 x 16 threads computes 4 x 4.
//   x, weights as in lib/moe_expert.wgsl; order [slots], tiles (expert, first place in order, rows)  ->  y [slots][n]
//   params: share (slots that share a row of x), x_first (its row 0), first (slot of y's first row), row_tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_row.wgsl"

const TILE = 64u;
const DEPTH = 16u;        // of K a step
const ROW = TILE / 4u + 1u;  // padded against bank conflicts
var<workgroup> left: array<vec4<f32>, DEPTH * ROW>;
var<workgroup> right: array<vec4<f32>, DEPTH * ROW>;

// Weights k to k + 3 of a row.
fn weights(r: Row, k: u32) -> vec4<f32> {
  if (k >= params.k) { return vec4<f32>(); }
  let v = quad(load(r, k / RUN), k % RUN / 4u, k / RUN * RUN);
#if QUANTISED
  let block = k >> params.block_shift;
  return scale(r, block) * (Q_SPAN * (v - 1.0) - zero_point(r, block));
#else
  return v;
#endif
}

fn finish(expert: u32, slot: u32, column: u32, v: vec4<f32>) {
  let y0 = (slot - params.first) * params.n;
  for (var i = 0u; i < 4u; i += SIDES) {
    if (column + i >= columns()) { return; }
    let value = v[i] + bias_of(row_of(expert, column + i));
#if GATED
    y_put(y0 + (column + i) / 2u, gate(value, v[i + 1u] + bias_of(row_of(expert, column + i + 1u))));
#else
    y_put(y0 + column + i, activate(value));
#endif
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = tiles[group_index(group) % params.row_tiles];
  if (tile.z == 0u) { return; }
  let n0 = group_index(group) / params.row_tiles * TILE;
  let row = order[tile.y + min(tid / 4u, tile.z - 1u)] / params.share - params.x_first;
  let r = row_of(tile.x, n0 + tid / 4u);
  let k = tid % 4u * 4u;
  let tm = tid / 16u;
  let tn = tid % 16u;
  var acc = array<vec4<f32>, 4>();
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    let a = x_quad(row, k0 + k);
    let b = weights(r, k0 + k);
    workgroupBarrier();
    for (var j = 0u; j < 4u; j++) {
      left[(k + j) * ROW + tid / 16u][tid / 4u % 4u] = a[j];
      right[(k + j) * ROW + tid / 16u][tid / 4u % 4u] = b[j];
    }
    workgroupBarrier();
    for (var i = 0u; i < DEPTH; i++) {
      let l = left[i * ROW + tm];
      let c = right[i * ROW + tn];
      for (var e = 0u; e < 4u; e++) { acc[e] += l[e] * c; }
    }
  }
  for (var e = 0u; e < 4u; e++) {
    if (tm * 4u + e < tile.z) { finish(tile.x, order[tile.y + tm * 4u + e], n0 + tn * 4u, acc[e]); }
  }
}
