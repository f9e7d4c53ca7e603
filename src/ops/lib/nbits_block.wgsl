// Reading block-quantised operands: activations by four, words of a load, zero points; writing one result.
const CHUNK = WORDS * Q_PER_WORD;  // weights a load; never crosses a block

#if WIDE
fn word(v: w_t, i: u32) -> u32 { return v[i]; }
#else
fn word(v: w_t, i: u32) -> u32 { return v; }
#endif

// x[m, k .. k + 3]; zeros beyond K, where the last block may be padded.
fn x_quad(m: u32, k: u32) -> vec4<f32> {
#if X4
  if (k >= params.k) { return vec4<f32>(); }
  return vec4<f32>(x[(m * params.k + k) / 4u]);
#else
  var v = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = f32(x[m * params.k + k + i]); } }
  return v;
#endif
}

// The zero point of a column's block, in units of q.
fn zero_point(column: u32, block: u32) -> f32 {
  let n = min(column, params.n - 1u);
#if ZEROS_U8
  let bit = block * BITS;
  let byte = n * ((params.blocks * BITS + 7u) / 8u) + bit / 8u;
  return f32((zeros[byte / 4u] >> (8u * (byte % 4u) + bit % 8u)) & ((1u << BITS) - 1u));
#else
#if ZEROS_T
  return f32(zeros[n * params.blocks + block]);
#else
  return f32(1u << (BITS - 1u));
#endif
#endif
}

// Weights k .. k + 3 of a column, dequantised; k is a multiple of 4 below BLOCK * blocks.
fn b_quad(base: u32, column: u32, k: u32) -> vec4<f32> {
  let n = min(column, params.n - 1u);
  let block = k / BLOCK;
  if (block >= params.blocks) { return vec4<f32>(); }
  let at = (n * params.blocks + block) * (BLOCK / Q_PER_WORD) + k % BLOCK / Q_PER_WORD;
  let q = Q_SPAN * (q_quad(word(w[at / WORDS], at % WORDS), k % Q_PER_WORD) - 1.0);
  return f32(scales[n * params.blocks + block]) * (q - zero_point(n, block));
}

fn a_base(batch: u32) -> u32 { return 0u; }
fn b_base(batch: u32) -> u32 { return 0u; }
fn a_quad(base: u32, m: u32, k: u32) -> vec4<f32> { return x_quad(min(m, params.m - 1u), k); }
fn result(batch: u32, m: u32, n: u32, value: f32) { store(m, n, value); }

fn store(m: u32, column: u32, value: f32) {
  if (m >= params.m || column >= params.n) { return; }
  var v = value;
#if BIAS
  v += f32(bias[column]);
#endif
  y[m * params.n + column] = y_t(v);
}
