// A projection for many tokens on matrix units of 16 x 16: f16 operands, f32 accumulation. Four subgroups (2 x 2)
// multiply the rows of a tile, which go to one expert, with 128 columns; operands are staged in workgroup memory, DEPTH
// of K at a time. The results are f32, and where they are multiplied again their largest magnitude in each row goes to
// peaks: a power of two then brings the row into the range of f16.
//   x, weights as in lib/moe_expert.wgsl; order [slots], tiles (expert, first place in order, rows)  ->  y [slots][n];
//     peaks [slots]: f32 bits, written (PEAKS) or read (FROM_F32)
//   consts: WG, MK (K of a matrix unit), A_2 (a thread stages 2 octets of x, else 1), PEAKS; see lib/moe_octets.wgsl
//   params: share (slots that share a row of x), x_first (its row 0), first (slot of y's first row), row_tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_octets.wgsl"

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
  var c00: Result;
  var c01: Result;
  var c02: Result;
  var c03: Result;
  var c10: Result;
  var c11: Result;
  var c12: Result;
  var c13: Result;
  if (tid < TILE_M) { atomicStore(&row_peaks[tid], 0u); }

  // Where this thread reads, and what it has read for the next step, while one is computed.
  let a_row = tid / OCTETS;
  let a_k = tid % OCTETS * 8u;
  let x_0 = x_row(tile, a_row);
  let f_0 = power(exponent_of(tile, a_row));
  var a_0 = a_octet(x_0, a_k, f_0);
#if A_2
  let x_1 = x_row(tile, a_row + WG / OCTETS);
  let f_1 = power(exponent_of(tile, a_row + WG / OCTETS));
  var a_1 = a_octet(x_1, a_k, f_1);
#endif
  let r = row_of(tile.x, n0 + tid * B_ITEMS / OCTETS);
  let b_k = tid * B_ITEMS % OCTETS * 8u;
  let b_at = tid * B_ITEMS / OCTETS * ROW_K + tid * B_ITEMS % OCTETS;
  var b = load_octets(r, b_k);
  var block = block_of(r, b_k);
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    workgroupBarrier();
    stage_a[a_row * ROW_K + tid % OCTETS] = a_0;
#if A_2
    stage_a[(a_row + WG / OCTETS) * ROW_K + tid % OCTETS] = a_1;
#endif
    stage_octets(b_at, b, block);
    workgroupBarrier();
    let next = min(k0 + DEPTH, params.k - DEPTH);
    a_0 = a_octet(x_0, next + a_k, f_0);
#if A_2
    a_1 = a_octet(x_1, next + a_k, f_1);
#endif
    b = load_octets(r, next + b_k);
    block = block_of(r, next + b_k);
    for (var k = 0u; k < DEPTH; k += MK) {
      let l0 = left(sub_m, k);
      let l1 = left(sub_m + 16u, k);
      let r0 = right(sub_n, k);
      c00 = subgroupMatrixMultiplyAccumulate(l0, r0, c00);
      c10 = subgroupMatrixMultiplyAccumulate(l1, r0, c10);
      let r1 = right(sub_n + 16u, k);
      c01 = subgroupMatrixMultiplyAccumulate(l0, r1, c01);
      c11 = subgroupMatrixMultiplyAccumulate(l1, r1, c11);
      let r2 = right(sub_n + 32u, k);
      c02 = subgroupMatrixMultiplyAccumulate(l0, r2, c02);
      c12 = subgroupMatrixMultiplyAccumulate(l1, r2, c12);
      let r3 = right(sub_n + 48u, k);
      c03 = subgroupMatrixMultiplyAccumulate(l0, r3, c03);
      c13 = subgroupMatrixMultiplyAccumulate(l1, r3, c13);
    }
  }

  let strip = sub * 16u * STRIP;
  subgroupMatrixStore<row_major>(&strips, strip, c00, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c01, STRIP);
  write_strip(tile, sub_m, n0 + sub_n, strip, lane);
  subgroupMatrixStore<row_major>(&strips, strip, c02, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c03, STRIP);
  write_strip(tile, sub_m, n0 + sub_n + 32u, strip, lane);
  subgroupMatrixStore<row_major>(&strips, strip, c10, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c11, STRIP);
  write_strip(tile, sub_m + 16u, n0 + sub_n, strip, lane);
  subgroupMatrixStore<row_major>(&strips, strip, c12, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 16u, c13, STRIP);
  write_strip(tile, sub_m + 16u, n0 + sub_n + 32u, strip, lane);
#if PEAKS
  if (tid < tile.z) { atomicMax(&peaks[slot_of(tile, tid) - params.first], atomicLoad(&row_peaks[tid])); }
#endif
}
