// B of gemm_matrix as up to three block-quantised matrices [n][blocks][BLOCK * BITS / 8 bytes] of the same K, and results.
//   w, scales, zeros?, bias?, y; TWO: w1, ...; THREE: w2, ...; GATED: the second matrix has no y
//   consts: BITS, BITS_2, BITS_4, BITS_8, BLOCK (no shorter than DEPTH), WORDS (of a load), TWO_LOADS, ZEROS_U8, ZEROS_T
//   params: n1 (columns of the second and third matrix), tiles1 (of them), blocks
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
  column: u32,
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
  return Source(unit / PAIRS, min(place.n + row / SUB_N * (SUB_N / 2u) + unit % PAIRS * MN + row % MN, place.count - 1u), k);
#else
  return Source(place.matrix, min(place.n + row, place.count - 1u), k);
#endif
}

fn load_words(matrix: u32, at: u32) -> w_t {
#if TWO
  if (matrix == 1u) { return w1[at]; }
#endif
#if THREE
  if (matrix == 2u) { return w2[at]; }
#endif
  return w[at];
}

fn load_scale(matrix: u32, at: u32) -> f16 {
#if TWO
  if (matrix == 1u) { return scales1[at]; }
#endif
#if THREE
  if (matrix == 2u) { return scales2[at]; }
#endif
  return scales[at];
}

fn load_bias(matrix: u32, at: u32) -> f32 {
#if BIAS
#if TWO
  if (matrix == 1u) { return bias1_get(at); }
#endif
#if THREE
  if (matrix == 2u) { return bias2_get(at); }
#endif
  return bias_get(at);
#else
  return 0.0;
#endif
}

#if ZEROS_U8
fn zeros_word(matrix: u32, at: u32) -> u32 {
#if TWO
  if (matrix == 1u) { return zeros1[at]; }
#endif
#if THREE
  if (matrix == 2u) { return zeros2[at]; }
#endif
  return zeros[at];
}
#endif
#if ZEROS_T
fn zeros_value(matrix: u32, at: u32) -> f16 {
#if TWO
  if (matrix == 1u) { return f16(zeros1_get(at)); }
#endif
#if THREE
  if (matrix == 2u) { return f16(zeros2_get(at)); }
#endif
  return f16(zeros_get(at));
}
#endif

fn zero_point(s: Source, block: u32) -> f16 {
#if ZEROS_U8
  let bit = block * BITS;
  let byte = s.column * ((params.blocks * BITS + 7u) / 8u) + bit / 8u;
  return f16((zeros_word(s.matrix, byte / 4u) >> (8u * (byte % 4u) + bit % 8u)) & MASK);
#else
#if ZEROS_T
  return zeros_value(s.matrix, s.column * params.blocks + block);
#else
  return f16(1u << (BITS - 1u));
#endif
#endif
}

fn b_load(s: Source, k0: u32) -> Octets {
  var v = Octets();
  let k = k0 + s.k;
  let at = (s.column * params.blocks * BLOCK + k) * BITS / 32u / WORDS;
  v.v0 = load_words(s.matrix, at);
#if TWO_LOADS
  v.v1 = load_words(s.matrix, at + 1u);
#endif
  v.scale = load_scale(s.matrix, s.column * params.blocks + k / BLOCK);
  v.zero = zero_point(s, k / BLOCK);
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

#if BITS_2
#if WIDE
fn word(v: w_t, i: u32) -> u32 { return v[i]; }
#else
fn word(v: w_t, i: u32) -> u32 { return v; }
#endif
#endif

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
