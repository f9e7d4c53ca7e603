// Up to three block-quantised matrices [n][blocks][BLOCK * BITS / 8 bytes] of the same K in packed order (lib/packed.wgsl), read
// by the number of the matrix. An element of the weights is LOAD_WORDS u32 of a column.
//   w (words), scales, zeros?, bias?; TWO: w1, ...; THREE: w2, ...    params: blocks
//   consts: BITS, BLOCK, LOAD_WORDS, WORDS (u32 of a load; divides LOAD_WORDS), WIDE (w_t is a vector), TWO, THREE, BIAS,
//     ZEROS_U8 (bit fields like the weights), ZEROS_T
#include "lib/packed.wgsl"

const PIECES = LOAD_WORDS / WORDS;  // loads of an element
const BLOCK_LOADS = BLOCK * BITS / 32u / LOAD_WORDS;  // elements of a block

// Where load `run` of a column lies among the loads of a matrix.
fn load_at(c: Column, run: u32) -> u32 {
  return packed_at(c, run / PIECES, params.blocks * BLOCK_LOADS) * PIECES + run % PIECES;
}

// Where the scale of a block of a column lies, and a zero point that is a float.
fn scale_at(c: Column, block: u32) -> u32 { return packed_at(c, block, params.blocks); }

#if WIDE
fn word(v: w_t, i: u32) -> u32 { return v[i]; }
#else
fn word(v: w_t, i: u32) -> u32 { return v; }
#endif

fn load_words(matrix: u32, at: u32) -> w_t {
#if TWO
  if (matrix == 1u) { return w1[at]; }
#endif
#if THREE
  if (matrix == 2u) { return w2[at]; }
#endif
  return w[at];
}

fn load_scale(matrix: u32, at: u32) -> f32 {
#if TWO
  if (matrix == 1u) { return scales1_get(at); }
#endif
#if THREE
  if (matrix == 2u) { return scales2_get(at); }
#endif
  return scales_get(at);
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

// A word with a zero point, `shift` bits up; the first word unless it is to be read.
struct ZeroWord { word: u32, shift: u32 }
fn zero_word(matrix: u32, c: Column, block: u32, read: bool) -> ZeroWord {
  let bit = block * BITS;
  let byte = packed_at(c, bit / 8u, (params.blocks * BITS + 7u) / 8u);
  return ZeroWord(zeros_word(matrix, select(0u, byte / 4u, read)), 8u * (byte % 4u) + bit % 8u);
}
fn zero_field(z: ZeroWord) -> u32 { return (z.word >> z.shift) & ((1u << BITS) - 1u); }
#endif

#if ZEROS_T
fn load_zero(matrix: u32, at: u32) -> f32 {
#if TWO
  if (matrix == 1u) { return zeros1_get(at); }
#endif
#if THREE
  if (matrix == 2u) { return zeros2_get(at); }
#endif
  return zeros_get(at);
}
#endif

// The zero point of a block of a weight, in units of q.
fn zero_point(matrix: u32, c: Column, block: u32) -> f32 {
#if ZEROS_U8
  return f32(zero_field(zero_word(matrix, c, block, true)));
#else
#if ZEROS_T
  return load_zero(matrix, scale_at(c, block));
#else
  return f32(1u << (BITS - 1u));
#endif
#endif
}
