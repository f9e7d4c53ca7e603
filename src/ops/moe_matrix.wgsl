// A projection for many tokens on matrix units of 16 x 16: f16 operands, f32 accumulation. Four subgroups (2 x 2)
// multiply the rows of a tile, which go to one expert, with 128 columns; operands are staged in workgroup memory, DEPTH
// of K at a time. The results are f32, and where they are multiplied again their largest magnitude in each row goes to
// peaks: a power of two then brings the row into the range of f16.
//   x, weights as in lib/moe_expert.wgsl; order [slots], tiles (expert, first place in order, rows)  ->  y [slots][n];
//     peaks [slots]: f32 bits, written (PEAKS) or read (FROM_F32)
//   consts: WG, MK (K of a matrix unit), A_ITEMS (octets of x that a thread stages), PEAKS; see lib/moe_octets.wgsl
//   params: share (slots that share a row of x), x_first (its row 0), first (slot of y's first row), row_tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_octets.wgsl"
#include "lib/matrix_stage.wgsl"

const TILE_M = 64u;
const TILE_N = 128u;
const DEPTH = 32u;
const OCTETS = DEPTH / 8u;
const ROW_K = OCTETS + 1u;  // of a staged row, padded against bank conflicts
const B_ITEMS = TILE_N * OCTETS / WG;
const STRIP = 36u;          // of a row of 32 columns on the way out, padded
const LANES = WG / 64u;     // of a subgroup, for each of 16 rows
alias Left = subgroup_matrix_left<f16, MK, 16>;
alias Right = subgroup_matrix_right<f16, 16, MK>;
alias Result = subgroup_matrix_result<f32, 16, 16>;

var<workgroup> stage_a: array<vec4<u32>, TILE_M * ROW_K>;
var<workgroup> stage_b: array<vec4<u32>, TILE_N * ROW_K>;
var<workgroup> strips: array<f32, 4u * 16u * STRIP>;
var<workgroup> row_peaks: array<atomic<u32>, TILE_M>;

fn left(m: u32, k: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&stage_a, m * ROW_K + k / 8u, ROW_K); }
fn right(n: u32, k: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&stage_b, n * ROW_K + k / 8u, ROW_K); }

// The slot of a row of the tile; rows beyond the last repeat it, and are not written.
fn slot_of(tile: vec4<u32>, row: u32) -> u32 { return order[tile.y + min(row, tile.z - 1u)]; }
fn x_row(tile: vec4<u32>, row: u32) -> u32 { return slot_of(tile, row) / params.share - params.x_first; }

// 2^e with which a row's values are multiplied.
fn exponent_of(tile: vec4<u32>, row: u32) -> i32 {
#if FROM_F32
  return clamp(141 - i32(peaks[slot_of(tile, row) - params.first] >> 23u), -100, 100);
#else
  return 0;
#endif
}
fn power(e: i32) -> f32 { return bitcast<f32>(u32(127 + e) << 23u); }

// Writes what a subgroup has put into its strip, for rows from m and columns from n.
fn write_strip(tile: vec4<u32>, m: u32, n: u32, strip: u32, lane: u32) {
  workgroupBarrier();
  let row = m + lane / LANES;
  if (row < tile.z) {
    let span = 32u / LANES;
    let slot = slot_of(tile, row) - params.first;
    let factor = power(-exponent_of(tile, row));
    let first = lane % LANES * span;
    var peak = 0.0;
    for (var c = first; c < first + span && n + c < columns(); c += SIDES) {
      let at = strip + lane / LANES * STRIP + c;
      let v = factor * strips[at] + bias_of(row_of(tile.x, n + c));
#if GATED
      let result = gate(v, factor * strips[at + 1u] + bias_of(row_of(tile.x, n + c + 1u)));
#else
      let result = activate(v);
#endif
      y_put(slot * params.n + (n + c) / SIDES, result);
      peak = max(peak, abs(result));
    }
    if (PEAKS) { atomicMax(&row_peaks[row], bitcast<u32>(peak)); }
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let tile = tiles[group_index(group) % params.row_tiles];
  if (tile.z == 0u) { return; }
  let n0 = group_index(group) / params.row_tiles * TILE_N;
  let sub_m = sub / 2u * 32u;
  let sub_n = sub % 2u * 64u;
#for i 2
#for j 4
  var c$i_$j: Result;
#endfor
#endfor
  if (tid < TILE_M) { atomicStore(&row_peaks[tid], 0u); }

  // Where this thread reads, and what it has read for the next step, while one is computed.
  let k_thread = tid % OCTETS * 8u;
#for i A_ITEMS
  let row$i = stage_row(tid) + $iu * (WG / OCTETS);
  let x$i = x_row(tile, row$i);
  let f$i = power(exponent_of(tile, row$i));
  var a$i = a_octet(x$i, k_thread, f$i);
#endfor
  let r = row_of(tile.x, n0 + tid * B_ITEMS / OCTETS);
  let b_k = tid * B_ITEMS % OCTETS * 8u;
  let b_at = tid * B_ITEMS / OCTETS * ROW_K + tid * B_ITEMS % OCTETS;
  var b = load_octets(r, b_k);
  var block = block_of(r, b_k);
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    workgroupBarrier();
#for i A_ITEMS
    stage_a[row$i * ROW_K + tid % OCTETS] = a$i;
#endfor
    stage_octets(b_at, b, block);
    workgroupBarrier();
    let next = min(k0 + DEPTH, params.k - DEPTH);
#for i A_ITEMS
    a$i = a_octet(x$i, next + k_thread, f$i);
#endfor
    b = load_octets(r, next + b_k);
    block = block_of(r, next + b_k);
    for (var k = 0u; k < DEPTH; k += MK) {
#for i 2
      let left$i = left(sub_m + 16u * $iu, k);
#endfor
#for j 4
      let right$j = right(sub_n + 16u * $ju, k);
#for i 2
      c$i_$j = subgroupMatrixMultiplyAccumulate(left$i, right$j, c$i_$j);
#endfor
#endfor
    }
  }

  let strip = sub * 16u * STRIP;
#for i 2
  subgroupMatrixStore<row_major>(&strips, strip, c$i_0, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c$i_1, STRIP);
  write_strip(tile, sub_m + 16u * $iu, n0 + sub_n, strip, lane);
  subgroupMatrixStore<row_major>(&strips, strip, c$i_2, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c$i_3, STRIP);
  write_strip(tile, sub_m + 16u * $iu, n0 + sub_n + 32u, strip, lane);
#endfor
#if PEAKS
  if (tid < tile.z) { atomicMax(&peaks[slot_of(tile, tid) - params.first], atomicLoad(&row_peaks[tid])); }
#endif
}
