// C = A * B on matrix units: f16 operands, f32 accumulation. SUBS subgroups share a tile, SUBS_N beside each other and
// SUBS_K along K; operands are staged in workgroup memory, DEPTH of K at a time, while the next are on their way into registers.
//   a (words) rows of K; b (words) rows of N (B_ALONG_N) or of K, bias?; or up to three quantised matrices (NBITS), see
//     lib/matrix_nbits.wgsl  ->  y, of each matrix; GATED: y = activate(A * W^T) * (A * W1^T); SLICED: partial sums over
//     slices of K, f32 [slices][tiles_m * TILE_M][tiles_n * TILE_N]
//   consts: WG, SUBS, SUBS_N, SUBS_K, MM, MN, MK (matrix unit), ROWS, COLUMNS (units of a subgroup, the latter 2 or 4), PAIRS
//     (COLUMNS / 2), DEPTH, A_ITEMS, B_ITEMS (octets that a thread stages), WHOLE_K (DEPTH divides K), WHOLE_N (8 divides N),
//     BIAS, DENSE (not NBITS)
//   params: m, n, k, tiles_m, tiles_n, a_m, slice (elements of K); dense: see lib/matrix_dense.wgsl
const SUB_M = ROWS * MM;  // tile of a subgroup
const SUB_N = COLUMNS * MN;
const SUBS_MN = SUBS / SUBS_K;
const TILE_M = SUBS_MN / SUBS_N * SUB_M;
const TILE_N = SUBS_N * SUB_N;
const OCTETS = DEPTH / 8u;  // vec4<u32> (eight f16) along K
const ROW_K = OCTETS + 1u;  // of a staged row, padded against bank conflicts
const ROW_N = TILE_N / 8u + 1u;
const STRIP = MN / 2u + 1u;  // vec4 of a row of two units, on the way out
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Result = subgroup_matrix_result<f32, MN, MM>;

// Rows of A, then of B; results leave through both: what a workgroup takes decides how many share a core.
const STAGE_B = TILE_M * ROW_K;
var<workgroup> stage: array<vec4<u32>, max(STAGE_B + select(TILE_N * ROW_K, DEPTH * ROW_N, B_ALONG_N), SUBS * MM * STRIP)>;

#include "lib/matrix_stage.wgsl"

// Rows beyond M repeat the last one; their results are not written.
fn a_row(base: u32, m0: u32, tid: u32, i: u32) -> u32 {
  return (base + min(m0 + stage_row(tid) + i * (WG / OCTETS), params.m - 1u) * params.a_m) / 8u + tid % OCTETS;
}

// The next K to read: beyond the end it is read again where every step is whole, and reads as zeros where not.
fn limited(k: u32, last: u32) -> u32 { return select(k, min(k, last - DEPTH), WHOLE_K); }

fn a_item(row: u32, k0: u32, inside: bool) -> vec4<u32> {
  if (WHOLE_K) { return a[row + k0 / 8u]; }
  return select(vec4<u32>(), a[select(0u, row + k0 / 8u, inside)], inside);
}

#if DENSE
#include "lib/matrix_dense.wgsl"
#else
#include "lib/matrix_nbits.wgsl"
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let tile = group_index(group) / params.tiles_m;
  let m0 = group_index(group) % params.tiles_m * TILE_M;
  let place = place_of(tile);
  let sub_m = sub % SUBS_MN / SUBS_N * SUB_M;
  let sub_n = sub % SUBS_N * SUB_N;
  let k_sub = select(sub / SUBS_MN * (DEPTH / SUBS_K), 0u, SUBS_K == 1u);
  let first = place.slice * params.slice;  // of K
  let last = min(first + params.slice, params.k);
  var c: array<Result, ROWS * COLUMNS>;

  // Where this thread reads, and its octets of the next step.
  let k_thread = tid % OCTETS * 8u;
#for i A_ITEMS
  let a_row_$i = a_row(place.a, m0, tid, $iu);
  var a_$i = a_item(a_row_$i, limited(first, last), first + k_thread < last);
#endfor
  let source = source_of(place, tid);
  var b_next = b_load(source, limited(first, last));
  for (var k0 = first; k0 < last; k0 += DEPTH) {
    workgroupBarrier();
#for i A_ITEMS
    stage[(stage_row(tid) + $iu * (WG / OCTETS)) * ROW_K + tid % OCTETS] = a_$i;
#endfor
    b_stage(b_next, source, tid);
    workgroupBarrier();
    let next = limited(k0 + DEPTH, last);
#for i A_ITEMS
    a_$i = a_item(a_row_$i, next, next + k_thread < last);
#endfor
    b_next = b_load(source, next);
    for (var k = k_sub; k < k_sub + DEPTH / SUBS_K; k += MK) {
#for i ROWS
      let left_$i = subgroupMatrixLoad<Left, row_major>(&stage, (sub_m + $iu * MM) * ROW_K + k / 8u, ROW_K);
#endfor
#for j COLUMNS
      let right_$j = right(sub_n + $ju * MN, k);
#for i ROWS
      c[$iu * COLUMNS + $ju] = subgroupMatrixMultiplyAccumulate(left_$i, right_$j, c[$iu * COLUMNS + $ju]);
#endfor
#endfor
    }
  }
  let strip = sub * MM * STRIP;
#for i ROWS
#for j PAIRS
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&stage, strip, c[$iu * COLUMNS + select(2u, 1u, GATED) * $ju], STRIP);
  subgroupMatrixStore<row_major>(&stage, strip + MN / 4u, c[$iu * COLUMNS + select(2u * $ju + 1u, $ju + PAIRS, GATED)], STRIP);
  workgroupBarrier();
  if (SUBS_K == 1u || sub < SUBS_MN) {
#if SLICED
    write_part(place, m0 + sub_m + $iu * MM, sub_n + 2u * $ju * MN, strip, lane);
#else
    write_strip(place, m0 + sub_m + $iu * MM, (sub_n + 2u * $ju * MN) / select(1u, 2u, GATED), strip, lane);
#endif
  }
#endfor
#endfor
}

// Four results of a subgroup's strip, and of those that share its tile along K.
fn strip_quad(strip: u32, row: u32, column: u32) -> vec4<f32> {
  let at = strip + row * STRIP + column / 4u;
  var sum = bitcast<vec4<f32>>(stage[at]);
#for s SUBS_K
  if ($su > 0u) { sum += bitcast<vec4<f32>>(stage[at + $su * SUBS_MN * MM * STRIP]); }
#endfor
  return sum;
}

#if SLICED
// A strip of partial sums to rows from m and columns from place.n + `first` of this slice.
fn write_part(place: Place, m: u32, first: u32, strip: u32, lane: u32) {
  let row = place.slice * params.tiles_m * TILE_M + m;
  for (var e = lane; e < MM * MN / 2u; e += WG / SUBS) {
    let r = e / (MN / 2u);
    let column = place.n + first + e % (MN / 2u) * 4u;
    y[((row + r) * params.tiles_n * TILE_N + column) / 4u] = strip_quad(strip, r, e % (MN / 2u) * 4u);
  }
}
#endif
