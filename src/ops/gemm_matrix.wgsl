// C = A * B on matrix units, f16 operands, f32 accumulation. Four subgroups (2 x 2) share a tile; operands are staged in
// workgroup memory, DEPTH of K at a time. Accumulators are single variables: indexed ones would not stay in registers.
//   a (words) rows of K; b (words) rows of N (B_ALONG_N) or of K, or w (words), scales, zeros? (NBITS); bias?  ->  y
//   consts: WG, MM, MN, MK (matrix unit), ROWS_4, COLUMNS_4 (units of a subgroup each way: 4, else 2), NBITS, B_ALONG_N,
//     BIAS, BATCH_RANK, BITS, BLOCK, WORDS, WIDE, ZEROS_U8, ZEROS_T     params: m, n, k, tiles_m, tiles_n, a_m, b_k, b_n,
//     bias_m, bias_n, blocks, alpha, beta; lists batch, a_batch, b_batch
const SUB_M = select(2u, 4u, ROWS_4) * MM;  // tile of a subgroup
const SUB_N = select(2u, 4u, COLUMNS_4) * MN;
const TILE_M = 2u * SUB_M;
const TILE_N = 2u * SUB_N;
const DEPTH = 32u;
const OCTETS = DEPTH / 8u;  // vec4<u32> (eight f16) along K
const ROW_K = OCTETS + 1u;  // of a staged row of K, padded against bank conflicts
const ROW_N = TILE_N / 8u + 1u;
const A_ITEMS = TILE_M * OCTETS / WG;
const B_ITEMS = TILE_N * OCTETS / WG;
const STRIP = 2u * MN;      // columns that a subgroup writes out at a time
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Result = subgroup_matrix_result<f32, MN, MM>;

var<workgroup> stage_a: array<vec4<u32>, TILE_M * ROW_K>;
var<workgroup> stage_b: array<vec4<u32>, select(TILE_N * ROW_K, DEPTH * ROW_N, B_ALONG_N)>;
var<workgroup> strips: array<f32, 4u * MM * STRIP>;

#include "lib/matrix_operands.wgsl"

// Results that a subgroup has put into its strip, to rows from m and columns from n.
fn write_strip(batch: u32, m: u32, n: u32, strip: u32, lane: u32) {
  workgroupBarrier();
  for (var e = lane; e < MM * STRIP; e += WG / 4u) {
    result(batch, m + e / STRIP, n + e % STRIP, strips[strip + e]);
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let tile = group_index(group);
  let batch = tile / (params.tiles_m * params.tiles_n);
  let m0 = tile % params.tiles_m * TILE_M;
  let n0 = tile / params.tiles_m % params.tiles_n * TILE_N;
  let sub_m = sub / 2u * SUB_M;
  let sub_n = sub % 2u * SUB_N;
  let a0 = batch_base(batch, true);
  let b0 = batch_base(batch, false);

  // Accumulators, (row, column) of the subgroup's tile.
  var c00: Result;
  var c01: Result;
  var c10: Result;
  var c11: Result;
#if COLUMNS_4
  var c02: Result;
  var c03: Result;
  var c12: Result;
  var c13: Result;
#endif
#if ROWS_4
  var c20: Result;
  var c21: Result;
  var c30: Result;
  var c31: Result;
#if COLUMNS_4
  var c22: Result;
  var c23: Result;
  var c32: Result;
  var c33: Result;
#endif
#endif

  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    workgroupBarrier();
    stage_rows(a0, m0, k0, tid);
    stage_columns(b0, n0, k0, tid);
    workgroupBarrier();
    for (var kk = 0u; kk < DEPTH; kk += MK) {
      let l0 = left(sub_m + 0u * MM, kk);
      let l1 = left(sub_m + 1u * MM, kk);
#if ROWS_4
      let l2 = left(sub_m + 2u * MM, kk);
      let l3 = left(sub_m + 3u * MM, kk);
#endif
      let r0 = right(sub_n + 0u * MN, kk);
      c00 = subgroupMatrixMultiplyAccumulate(l0, r0, c00);
      c10 = subgroupMatrixMultiplyAccumulate(l1, r0, c10);
#if ROWS_4
      c20 = subgroupMatrixMultiplyAccumulate(l2, r0, c20);
      c30 = subgroupMatrixMultiplyAccumulate(l3, r0, c30);
#endif
      let r1 = right(sub_n + 1u * MN, kk);
      c01 = subgroupMatrixMultiplyAccumulate(l0, r1, c01);
      c11 = subgroupMatrixMultiplyAccumulate(l1, r1, c11);
#if ROWS_4
      c21 = subgroupMatrixMultiplyAccumulate(l2, r1, c21);
      c31 = subgroupMatrixMultiplyAccumulate(l3, r1, c31);
#endif
#if COLUMNS_4
      let r2 = right(sub_n + 2u * MN, kk);
      c02 = subgroupMatrixMultiplyAccumulate(l0, r2, c02);
      c12 = subgroupMatrixMultiplyAccumulate(l1, r2, c12);
#if ROWS_4
      c22 = subgroupMatrixMultiplyAccumulate(l2, r2, c22);
      c32 = subgroupMatrixMultiplyAccumulate(l3, r2, c32);
#endif
      let r3 = right(sub_n + 3u * MN, kk);
      c03 = subgroupMatrixMultiplyAccumulate(l0, r3, c03);
      c13 = subgroupMatrixMultiplyAccumulate(l1, r3, c13);
#if ROWS_4
      c23 = subgroupMatrixMultiplyAccumulate(l2, r3, c23);
      c33 = subgroupMatrixMultiplyAccumulate(l3, r3, c33);
#endif
#endif
    }
  }

  let strip = sub * MM * STRIP;
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c00, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c01, STRIP);
  write_strip(batch, m0 + sub_m + 0u * MM, n0 + sub_n + 0u * STRIP, strip, lane);
#if COLUMNS_4
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c02, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c03, STRIP);
  write_strip(batch, m0 + sub_m + 0u * MM, n0 + sub_n + 1u * STRIP, strip, lane);
#endif
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c10, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c11, STRIP);
  write_strip(batch, m0 + sub_m + 1u * MM, n0 + sub_n + 0u * STRIP, strip, lane);
#if COLUMNS_4
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c12, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c13, STRIP);
  write_strip(batch, m0 + sub_m + 1u * MM, n0 + sub_n + 1u * STRIP, strip, lane);
#endif
#if ROWS_4
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c20, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c21, STRIP);
  write_strip(batch, m0 + sub_m + 2u * MM, n0 + sub_n + 0u * STRIP, strip, lane);
#if COLUMNS_4
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c22, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c23, STRIP);
  write_strip(batch, m0 + sub_m + 2u * MM, n0 + sub_n + 1u * STRIP, strip, lane);
#endif
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c30, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c31, STRIP);
  write_strip(batch, m0 + sub_m + 3u * MM, n0 + sub_n + 0u * STRIP, strip, lane);
#if COLUMNS_4
  subgroupMatrixStore<row_major>(&strips, strip + 0u * MN, c32, STRIP);
  subgroupMatrixStore<row_major>(&strips, strip + 1u * MN, c33, STRIP);
  write_strip(batch, m0 + sub_m + 3u * MM, n0 + sub_n + 1u * STRIP, strip, lane);
#endif
#endif
}
