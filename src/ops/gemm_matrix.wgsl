// C = A * B on matrix units, f16 operands, f32 accumulation. Four subgroups (2 x 2) share a tile; operands are staged in
// workgroup memory, DEPTH of K at a time. What lives in registers has a name of its own: not every driver unrolls a loop.
//   a (words) rows of K; b (words) rows of N (B_ALONG_N) or of K, or w (words), scales, zeros? (NBITS); bias?  ->  y
//   consts: WG, MM, MN, MK (matrix unit), ROWS_4, COLUMNS_4 (units of a subgroup each way: 4, else 2), NBITS, B_ALONG_N,
//     BIAS, BATCH_RANK, A_4, B_4 (octets a thread stages: 4, else 2), BITS, BITS_2, BITS_4, BITS_8, BLOCK, WORDS (a load),
//     TWO_LOADS, ZEROS_U8, ZEROS_T     params: m, n, k, tiles_m, tiles_n, a_m, b_k, b_n,
//     bias_m, bias_n, blocks, alpha, beta; lists batch, a_batch, b_batch
const SUB_M = select(2u, 4u, ROWS_4) * MM;  // tile of a subgroup
const SUB_N = select(2u, 4u, COLUMNS_4) * MN;
const TILE_M = 2u * SUB_M;
const TILE_N = 2u * SUB_N;
const DEPTH = 32u;
const OCTETS = DEPTH / 8u;  // vec4<u32> (eight f16) along K
const ROW_K = OCTETS + 1u;  // of a staged row, padded against bank conflicts
const ROW_N = TILE_N / 8u + 1u;
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

  // Where this thread reads, and its octets of the next step, on their way while one step is computed.
  let ra_0 = a_row(a0, m0, tid, 0u);
  let ra_1 = a_row(a0, m0, tid, 1u);
#if A_4
  let ra_2 = a_row(a0, m0, tid, 2u);
  let ra_3 = a_row(a0, m0, tid, 3u);
#endif
#if NBITS
  let column = column_of(n0, tid);
  let k_thread = tid * B_ITEMS % OCTETS * 8u;
#else
  let rb_0 = b_row(b0, n0, tid, 0u);
  let rb_1 = b_row(b0, n0, tid, 1u);
#if B_4
  let rb_2 = b_row(b0, n0, tid, 2u);
  let rb_3 = b_row(b0, n0, tid, 3u);
#endif
#endif
  let inside = tid % OCTETS * 8u < params.k;
  var a_0 = a_item(ra_0, 0u, inside);
  var a_1 = a_item(ra_1, 0u, inside);
#if A_4
  var a_2 = a_item(ra_2, 0u, inside);
  var a_3 = a_item(ra_3, 0u, inside);
#endif
#if NBITS
  var v_0 = b_words(column, k_thread, 0u);
#if TWO_LOADS
  var v_1 = b_words(column, k_thread, 1u);
#endif
  var block = b_block(column, k_thread);
#else
  var b_0 = b_item(rb_0, n0, 0u, tid, 0u);
  var b_1 = b_item(rb_1, n0, 0u, tid, 1u);
#if B_4
  var b_2 = b_item(rb_2, n0, 0u, tid, 2u);
  var b_3 = b_item(rb_3, n0, 0u, tid, 3u);
#endif
#endif
  for (var k0 = 0u; k0 < params.k; k0 += DEPTH) {
    workgroupBarrier();
    put_a(tid, 0u, a_0);
    put_a(tid, 1u, a_1);
#if A_4
    put_a(tid, 2u, a_2);
    put_a(tid, 3u, a_3);
#endif
#if BITS_2
#if B_4
    put_b(tid, 0u, v_0.x, 0u, block);
    put_b(tid, 1u, v_0.x >> 16u, 0u, block);
    put_b(tid, 2u, v_0.y, 0u, block);
    put_b(tid, 3u, v_0.y >> 16u, 0u, block);
#else
    put_b(tid, 0u, v_0, 0u, block);
    put_b(tid, 1u, v_0 >> 16u, 0u, block);
#endif
#endif
#if BITS_4
    put_b(tid, 0u, v_0.x, 0u, block);
    put_b(tid, 1u, v_0.y, 0u, block);
#if B_4
    put_b(tid, 2u, v_0.z, 0u, block);
    put_b(tid, 3u, v_0.w, 0u, block);
#endif
#endif
#if BITS_8
    put_b(tid, 0u, v_0.x, v_0.y, block);
    put_b(tid, 1u, v_0.z, v_0.w, block);
#if B_4
    put_b(tid, 2u, v_1.x, v_1.y, block);
    put_b(tid, 3u, v_1.z, v_1.w, block);
#endif
#endif
#if !NBITS
    put_b(tid, 0u, b_0);
    put_b(tid, 1u, b_1);
#if B_4
    put_b(tid, 2u, b_2);
    put_b(tid, 3u, b_3);
#endif
#endif
    workgroupBarrier();
    let next = k0 + DEPTH;
    let more = next + tid % OCTETS * 8u < params.k;
    a_0 = a_item(ra_0, next, more);
    a_1 = a_item(ra_1, next, more);
#if A_4
    a_2 = a_item(ra_2, next, more);
    a_3 = a_item(ra_3, next, more);
#endif
#if NBITS
    v_0 = b_words(column, min(next, params.k - DEPTH) + k_thread, 0u);
#if TWO_LOADS
    v_1 = b_words(column, min(next, params.k - DEPTH) + k_thread, 1u);
#endif
    block = b_block(column, min(next, params.k - DEPTH) + k_thread);
#else
    b_0 = b_item(rb_0, n0, next, tid, 0u);
    b_1 = b_item(rb_1, n0, next, tid, 1u);
#if B_4
    b_2 = b_item(rb_2, n0, next, tid, 2u);
    b_3 = b_item(rb_3, n0, next, tid, 3u);
#endif
#endif
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
