// What matmul_nbits_few.wgsl reads and writes: one of up to three weights, and activations before or after the norm.
const RUN = WORDS * Q_PER_WORD;  // weights a load; never crosses a block

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
  if (matrix == 0u) { return bias_get(at); }
#endif
#if BIAS1
  if (matrix == 1u) { return bias1_get(at); }
#endif
#if BIAS2
  if (matrix == 2u) { return bias2_get(at); }
#endif
  return 0.0;
}

fn store(matrix: u32, at: u32, v: f32) {
#if TWO
#if !GATED
  if (matrix == 1u) { y1_put(at, v); return; }
#endif
#endif
#if THREE
  if (matrix == 2u) { y2_put(at, v); return; }
#endif
  y_put(at, v);
}

// The zero point of a block of the first weight, in units of q.
fn zero_point(column: u32, block: u32) -> f32 {
#if ZEROS_U8
  let bit = block * BITS;
  let byte = column * ((params.blocks * BITS + 7u) / 8u) + bit / 8u;
  return f32((zeros[byte / 4u] >> (8u * (byte % 4u) + bit % 8u)) & ((1u << BITS) - 1u));
#else
#if ZEROS_T
  return zeros_get(column * params.blocks + block);
#else
  return f32(1u << (BITS - 1u));
#endif
#endif
}

struct Activation {
  value: vec4<f32>,  // x, or (x + skip) * norm
  square: f32,       // of x + skip before the norm's scale
}

// x[m, k .. k + 3], zero beyond K. Rows beyond the last repeat it.
fn activation(row: u32, k: u32, writes_sum: bool) -> Activation {
  var v = vec4<f32>();
  if (k >= params.k) { return Activation(v, 0.0); }
  let m = min(row, params.m - 1u);
#if X4
  v = vec4<f32>(x[(m * params.k + k) / 4u]);
#else
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = x_get(m * params.k + k + i); } }
#endif
#if SKIP
  v += vec4<f32>(skip[(m % params.skip_rows * params.k + k) / 4u]);
#endif
#if SUM
  if (writes_sum) { sum[(m * params.k + k) / 4u] = sum_t(v); }
#endif
#if NORM
  return Activation(v * vec4<f32>(norm[k / 4u]), dot(v, v));
#else
  return Activation(v, 0.0);
#endif
}
