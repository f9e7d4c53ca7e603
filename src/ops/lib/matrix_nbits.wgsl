// B of gemm_matrix as quantised matrices (lib/nbits_weights.wgsl), and results. GATED: the second matrix has no y.
//   consts: BITS_2, BITS_4, BITS_8, BLOCK (no shorter than what a thread stages), WORDS (of a load), TWO_LOADS, MATRICES (of
//     a dispatch), B_SIDE (octets of a matrix that a thread stages), MORE_Y (y1)
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

// A thread takes B_SIDE octets of one column, which share a scale, of its tile's matrix or, GATED, of both; its neighbours take
// the columns beside it.
struct Source {
  matrix: u32,
  column: Column,
  k: u32,
  row: u32,  // of the staged rows of B
}

struct Side {
  v0: w_t,
#if TWO_LOADS
  v1: w_t,
#endif
  scale: f16,
#if ZEROS_U8
  zero: ZeroWord,
#endif
#if ZEROS_T
  zero: f16,
#endif
}

struct Octets {
#for m MATRICES
  m$m: Side,
#endfor
}

// GATED: a subgroup's first units are columns of the first matrix, its last the same columns of the second.
const SIDES = select(1u, 2u, GATED);  // matrices of a tile
const SIDE_N = TILE_N / SIDES;
const SUB_SIDE_N = SUB_N / SIDES;
fn source_of(place: Place, tid: u32) -> Source {
  let n = tid % SIDE_N;
  return Source(place.matrix, column_of(min(place.n + n, place.count - 1u), place.count), tid / SIDE_N * (8u * B_SIDE),
                n / SUB_SIDE_N * SUB_N + n % SUB_SIDE_N);
}

// Each matrix is read, those of other tiles at one place: what is loaded in a branch is waited for where branches meet.
fn side_load(matrix: u32, s: Source, k0: u32) -> Side {
  var v = Side();
  let read = MATRICES == 1u || GATED || s.matrix == matrix;
  let k = k0 + s.k;
  let run = k * BITS / 32u / WORDS;
  v.v0 = load_words(matrix, select(0u, load_at(s.column, run), read));
#if TWO_LOADS
  v.v1 = load_words(matrix, select(0u, load_at(s.column, run + 1u), read));
#endif
  // Nor is what was loaded looked at before it is staged.
  v.scale = f16(load_scale(matrix, select(0u, scale_at(s.column, k / BLOCK), read)));
#if ZEROS_U8
  v.zero = zero_word(matrix, s.column, k / BLOCK, read);
#endif
#if ZEROS_T
  v.zero = f16(load_zero(matrix, select(0u, scale_at(s.column, k / BLOCK), read)));
#endif
  return v;
}

fn b_load(s: Source, k0: u32) -> Octets {
  var v = Octets();
#for m MATRICES
  v.m$m = side_load($mu, s, k0);
#endfor
  return v;
}

const FIELDS = ((1u << BITS) - 1u) * 0x00010001u;  // the lowest of each half of a word

// Two weights from fields that lie `shift` bits up in each half of a word: 0x6400 | q is 1024 + q as f16, and less 1024 + z
// exact; 0x6400 | q << shift is 2^shift * q more than 1024.   z: the zero point, and 1024 more where it is an integer
fn pair(halves: u32, shift: u32, z: f16, scale: f16) -> vec2<f16> {
  let q = bitcast<vec2<f16>>((halves & (FIELDS << shift)) | 0x64006400u);
  let unit = 1.0h / f16(1u << shift);
#if ZEROS_T
  return (fma(q, vec2(unit), vec2(-1024.0h * unit)) - vec2(z)) * scale;
#else
  return fma(q, vec2(unit), vec2(1024.0h - 1024.0h * unit - z)) * scale;
#endif
}

fn zero_of(v: Side) -> f16 {
#if ZEROS_U8
  return bitcast<vec2<f16>>(0x6400u | zero_field(v.zero)).x;
#else
#if ZEROS_T
  return v.zero;
#else
  return 1024.0h + f16(1u << (BITS - 1u));
#endif
#endif
}

// The first of four pairs of weights as two words, when the second is the pairs of their successors.
fn woven(first: vec2<f16>, second: vec2<f16>) -> vec2<u32> {
  return vec2(bitcast<u32>(vec2(first.x, second.x)), bitcast<u32>(vec2(first.y, second.y)));
}

// Eight weights as f16; of two or four bits from `low`.
fn octet(low: u32, high: u32, z: f16, scale: f16) -> vec4<u32> {
#if BITS_8
  return vec4(woven(pair(low, 0u, z, scale), pair(low >> 8u, 0u, z, scale)),
              woven(pair(high, 0u, z, scale), pair(high >> 8u, 0u, z, scale)));
#else
  // Fields i and i + 4 in the halves of a word are one pair.
  let halves = select(low, (low & 0xffu) | ((low & 0xff00u) << 8u), BITS == 2u);
  let next = select(low >> 8u, halves, BITS == 2u);
  let shift = select(0u, 2u * BITS, BITS == 2u);
  let a = woven(pair(halves, 0u, z, scale), pair(halves, BITS, z, scale));
  let b = woven(pair(next, shift, z, scale), pair(next, shift + BITS, z, scale));
  return vec4(a.x, b.x, a.y, b.y);
#endif
}

fn side_stage(v: Side, to: u32) {
  let z = zero_of(v);
#for i B_SIDE
#if BITS_2
  stage[to + $iu] = octet(word(v.v0, $iu / 2u) >> (16u * ($iu % 2u)), 0u, z, v.scale);
#endif
#if BITS_4
  stage[to + $iu] = octet(word(v.v0, $iu), 0u, z, v.scale);
#endif
#if BITS_8
#if TWO_LOADS
  let v_$i = select(v.v0, v.v1, $iu >= 2u);
  stage[to + $iu] = octet(v_$i[$iu % 2u * 2u], v_$i[$iu % 2u * 2u + 1u], z, v.scale);
#else
  stage[to + $iu] = octet(v.v0[$iu % 2u * 2u], v.v0[$iu % 2u * 2u + 1u], z, v.scale);
#endif
#endif
#endfor
}

fn b_stage(v: Octets, s: Source, tid: u32) {
  let to = STAGE_B + s.row * ROW_K + s.k / 8u;
#if GATED
  side_stage(v.m0, to);
  side_stage(v.m1, to + SUB_SIDE_N * ROW_K);
#else
  var side = v.m0;
#for m MATRICES
  if ($mu > 0u && s.matrix == $mu) { side = v.m$m; }
#endfor
  side_stage(side, to);
#endif
}

fn right(n: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&stage, STAGE_B + n * ROW_K + k / 8u, ROW_K);
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
