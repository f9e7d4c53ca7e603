// Up to three block-quantised matrices [n][blocks][BLOCK * BITS / 8 bytes] of the same K, read by the number of the matrix.
//   w (words), scales, zeros?, bias?; TWO: w1, ...; THREE: w2, ...    params: blocks
//   consts: BITS, WIDE (w_t is a vector), TWO, THREE, BIAS, ZEROS_U8 (packed like the weights), ZEROS_T, SCALE_QUADS (4 divides
//     blocks, and scales and float zero points are f16, bound by the four, as vec2<u32>)
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

#if SCALE_QUADS
fn load_scales(matrix: u32, at: u32) -> vec2<u32> {
#if TWO
  if (matrix == 1u) { return scales1[at]; }
#endif
#if THREE
  if (matrix == 2u) { return scales2[at]; }
#endif
  return scales[at];
}
#else
fn load_scale(matrix: u32, at: u32) -> f32 {
#if TWO
  if (matrix == 1u) { return scales1_get(at); }
#endif
#if THREE
  if (matrix == 2u) { return scales2_get(at); }
#endif
  return scales_get(at);
}
#endif

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

#if SCALE_QUADS
// The zero points of four blocks from `block` on: packed in x, or f16.
fn load_zeros(matrix: u32, column: u32, block: u32) -> vec2<u32> {
  let at = column * params.blocks + block;
#if ZEROS_U8
  return vec2(zeros_word(matrix, at * BITS / 32u) >> (at * BITS % 32u), 0u);
#else
#if ZEROS_T
#if TWO
  if (matrix == 1u) { return zeros1[at / 4u]; }
#endif
#if THREE
  if (matrix == 2u) { return zeros2[at / 4u]; }
#endif
  return zeros[at / 4u];
#else
  return vec2<u32>();
#endif
#endif
}
#else
// The zero point of a block of a weight, in units of q.
fn zero_point(matrix: u32, column: u32, block: u32) -> f32 {
#if ZEROS_U8
  let bit = block * BITS;
  let byte = column * ((params.blocks * BITS + 7u) / 8u) + bit / 8u;
  return f32((zeros_word(matrix, byte / 4u) >> (8u * (byte % 4u) + bit % 8u)) & ((1u << BITS) - 1u));
#else
#if ZEROS_T
  let at = column * params.blocks + block;
#if TWO
  if (matrix == 1u) { return zeros1_get(at); }
#endif
#if THREE
  if (matrix == 2u) { return zeros2_get(at); }
#endif
  return zeros_get(at);
#else
  return f32(1u << (BITS - 1u));
#endif
#endif
}
#endif
