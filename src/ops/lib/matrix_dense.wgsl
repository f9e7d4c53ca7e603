// B of gemm_matrix as a dense f16 matrix, and its results: y = alpha * A * B + beta * bias.
//   params: b_k, b_n, bias_m, bias_n, alpha, beta; lists batch, a_batch, b_batch (of BATCH_RANK dimensions)
struct Place {
  matrix: u32,
  slice: u32,
  n: u32,      // first column of the tile
  count: u32,  // columns of y
  row: u32,    // first row of y of this batch
  a: u32,      // where A and B begin
  b: u32,
}

fn place_of(tile: u32) -> Place {
  let batch = select(tile / params.tiles_n, 0u, SLICED);
  var place = Place(0u, select(0u, tile / params.tiles_n, SLICED), tile % params.tiles_n * TILE_N, params.n, batch * params.m, 0u, 0u);
  var rest = batch;
  for (var d = BATCH_RANK; d > 0u; d--) {
    let i = rest % batch_at(d - 1u);
    rest /= batch_at(d - 1u);
    place.a += i * a_batch_at(d - 1u);
    place.b += i * b_batch_at(d - 1u);
  }
  return place;
}

// A thread's octets: from rows of K along N (B_ALONG_N), or from rows of N along K.
fn b_row(tid: u32) -> u32 { return select(stage_row(tid), tid / B_WIDE, B_ALONG_N); }
const B_WIDE = select(OCTETS, TILE_N / 8u, B_ALONG_N);
const B_STRIDE = select(ROW_K, ROW_N, B_ALONG_N);

struct Source {
  at: u32,      // octet of row 0 at K = 0
  column: u32,  // column, or its first of eight
  k: u32,       // K of the octet
  count: u32,   // columns of B
}

struct Octets {
#for i B_ITEMS
  i$i: vec4<u32>,
#endfor
}

fn source_of(place: Place, tid: u32) -> Source {
#if B_ALONG_N
  let n = min(place.n + tid % B_WIDE * 8u, place.count - 8u);
  return Source((place.b + n) / 8u, n, b_row(tid), place.count);
#else
  return Source(place.b / 8u, place.n + b_row(tid), tid % B_WIDE * 8u, place.count);
#endif
}

// Columns beyond N repeat others: their results are not written. K beyond the end counts as zeros.
fn b_item(s: Source, k0: u32, i: u32) -> vec4<u32> {
#if B_ALONG_N
  let k = k0 + s.k + i * (WG / B_WIDE);
  let at = s.at + k * params.b_k / 8u;
#else
  let k = k0 + s.k;
  let at = s.at + (min(s.column + i * (WG / B_WIDE), s.count - 1u) * params.b_n + k) / 8u;
#endif
  if (WHOLE_K) { return b[at]; }
  return select(vec4<u32>(), b[select(0u, at, k < params.k)], k < params.k);
}

fn b_load(s: Source, k0: u32) -> Octets {
  var v = Octets();
#for i B_ITEMS
  v.i$i = b_item(s, k0, $iu);
#endfor
  return v;
}

fn b_stage(v: Octets, s: Source, tid: u32) {
#for i B_ITEMS
  stage[STAGE_B + (b_row(tid) + $iu * (WG / B_WIDE)) * B_STRIDE + tid % B_WIDE] = v.i$i;
#endfor
}

fn right(n: u32, k: u32) -> Right {
#if B_ALONG_N
  return subgroupMatrixLoad<Right, row_major>(&stage, STAGE_B + k * ROW_N + n / 8u, ROW_N);
#else
  return subgroupMatrixLoad<Right, col_major>(&stage, STAGE_B + n * ROW_K + k / 8u, ROW_K);
#endif
}

fn scaled(v: vec4<f32>) -> vec4<f32> { return params.alpha * v; }

fn bias_quad(matrix: u32, m: u32, n: u32) -> vec4<f32> {
#if BIAS
  let last = params.n - 1u;
  let at = vec4(n, min(n + 1u, last), min(n + 2u, last), min(n + 3u, last)) * params.bias_n + m * params.bias_m;
  return params.beta * vec4<f32>(vec4(bias[at.x], bias[at.y], bias[at.z], bias[at.w]));
#else
  return vec4<f32>();
#endif
}

#if !SLICED
#if WHOLE_N
fn store_octet(place: Place, at: u32, v: vec4<u32>) { y[at / 8u] = v; }
#else
fn store_one(place: Place, at: u32, v: f32) { y[at] = y_t(v); }
#endif
#include "lib/matrix_out.wgsl"
#endif
