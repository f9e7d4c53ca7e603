// B of gemm_matrix as quantised matrices (lib/nbits_weights.wgsl), and results. GATED: the second matrix has no y.
//   consts: BITS_2, BITS_4, BITS_8, BLOCK (no shorter than what a thread stages), WORDS (of a load), TWO_LOADS, MORE_Y (y1)
//   params: n1 (columns of the second and third matrix), tiles1 (of them), blocks
#include "lib/nbits_weights.wgsl"

struct Place {
  matrix: u32,
  slice: u32,
  n: u32,      // first column of y of the tile
  count: u32,  // columns of y
  row: u32,    // 0: there is one batch
  a: u32,      // 0: and one A
}

const TILE_Y = select(1u, 2u, GATED);  // columns of a tile that share one of y

fn place_of(tile: u32) -> Place {
#if SLICED
  return Place(0u, tile / params.tiles_n, tile % params.tiles_n * TILE_N, params.n, 0u, 0u);
#else
#if THREE
  if (tile >= params.tiles_n + params.tiles1) {
    return Place(2u, 0u, (tile - params.tiles_n - params.tiles1) * TILE_N, params.n1, 0u, 0u);
  }
#endif
#if TWO
  if (!GATED && tile >= params.tiles_n) { return Place(1u, 0u, (tile - params.tiles_n) * TILE_N, params.n1, 0u, 0u); }
#endif
  return Place(0u, 0u, tile * (TILE_N / TILE_Y), params.n, 0u, 0u);
#endif
}

// A thread takes B_ITEMS octets of one column of one matrix, which share a scale.
struct Source {
  matrix: u32,
  column: Column,
  k: u32,
}

struct Octets {
  v0: w_t,
#if TWO_LOADS
  v1: w_t,
#endif
  scale: f16,
  zero: f16,
}

// GATED: a subgroup's first units are columns of the first matrix, its last the same columns of the second.
fn source_of(place: Place, tid: u32) -> Source {
  let row = tid * B_ITEMS / OCTETS;  // of stage_b
  let k = tid * B_ITEMS % OCTETS * 8u;
#if GATED
  let unit = row % SUB_N / MN;
  let n = place.n + row / SUB_N * (SUB_N / 2u) + unit % PAIRS * MN + row % MN;
  return Source(unit / PAIRS, column_of(min(n, place.count - 1u), place.count), k);
#else
  return Source(place.matrix, column_of(min(place.n + row, place.count - 1u), place.count), k);
#endif
}

fn b_load(s: Source, k0: u32) -> Octets {
  var v = Octets();
  let k = k0 + s.k;
  let run = k * BITS / 32u / WORDS;
  v.v0 = load_words(s.matrix, load_at(s.column, run));
#if TWO_LOADS
  v.v1 = load_words(s.matrix, load_at(s.column, run + 1u));
#endif
  v.scale = f16(load_scale(s.matrix, scale_at(s.column, k / BLOCK)));
  v.zero = f16(zero_point(s.matrix, s.column, k / BLOCK));
  return v;
}

const MASK = (1u << BITS) - 1u;

// The weights of two fields, the lower first, as two f16. 0x6400 | q is 1024 + q, and less 1024 + z, a whole number, exact.
fn pair(fields: u32, v: Octets) -> u32 {
  let q = bitcast<vec2<f16>>((fields & MASK) | ((fields << (16u - BITS)) & (MASK << 16u)) | 0x64006400u);
#if ZEROS_T
  return bitcast<u32>((q - vec2(1024.0h) - vec2(v.zero)) * v.scale);
#else
  return bitcast<u32>((q - vec2(1024.0h + v.zero)) * v.scale);
#endif
}

fn octet(v: Octets, low: u32, high: u32) -> vec4<u32> {
  if (BITS == 8u) { return vec4(pair(low, v), pair(low >> 16u, v), pair(high, v), pair(high >> 16u, v)); }
  return vec4(pair(low, v), pair(low >> (2u * BITS), v), pair(low >> (4u * BITS % 32u), v), pair(low >> (6u * BITS % 32u), v));
}

fn b_stage(v: Octets, tid: u32) {
  let at = tid * B_ITEMS;
  let to = at / OCTETS * ROW_K + at % OCTETS;
#for i B_ITEMS
#if BITS_2
  stage_b[to + $iu] = octet(v, word(v.v0, $iu / 2u) >> (16u * ($iu % 2u)), 0u);
#endif
#if BITS_4
  stage_b[to + $iu] = octet(v, v.v0[$iu], 0u);
#endif
#if BITS_8
#if TWO_LOADS
  stage_b[to + $iu] = octet(v, select(v.v0, v.v1, $iu >= 2u)[$iu % 2u * 2u], select(v.v0, v.v1, $iu >= 2u)[$iu % 2u * 2u + 1u]);
#else
  stage_b[to + $iu] = octet(v, v.v0[$iu % 2u * 2u], v.v0[$iu % 2u * 2u + 1u]);
#endif
#endif
#endfor
}

fn right(n: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&stage_b, n * ROW_K + k / 8u, ROW_K);
}

fn scaled(v: vec4<f32>) -> vec4<f32> { return v; }

fn bias_quad(matrix: u32, m: u32, n: u32) -> vec4<f32> {
  let last = select(params.n1, params.n, GATED || matrix == 0u) - 1u;
  return vec4(load_bias(matrix, n), load_bias(matrix, min(n + 1u, last)), load_bias(matrix, min(n + 2u, last)),
              load_bias(matrix, min(n + 3u, last)));
}
#if !SLICED
#if WHOLE_N
fn store_octet(place: Place, at: u32, v: vec4<u32>) {
#if MORE_Y
  if (place.matrix == 1u) { y1[at / 8u] = v; return; }
#endif
#if THREE
  if (place.matrix == 2u) { y2[at / 8u] = v; return; }
#endif
  y[at / 8u] = v;
}
#else
fn store_one(place: Place, at: u32, v: f32) {
#if MORE_Y
  if (place.matrix == 1u) { y1[at] = y1_t(v); return; }
#endif
#if THREE
  if (place.matrix == 2u) { y2[at] = y2_t(v); return; }
#endif
  y[at] = y_t(v);
}
#endif
#include "lib/matrix_out.wgsl"
#endif
