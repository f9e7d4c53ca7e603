// Reading block-quantised operands: activations by four, words of a load, zero points; writing one result.
#include "lib/nbits_weights.wgsl"

const RUN = WORDS * Q_PER_WORD;  // weights a load; never crosses a block

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

// Weights k .. k + 3 of a column, dequantised; k is a multiple of 4 below BLOCK * blocks.
fn b_quad(base: u32, column: u32, k: u32) -> vec4<f32> {
  let block = k / BLOCK;
  if (block >= params.blocks) { return vec4<f32>(); }
  let c = column_of(min(column, params.n - 1u), params.n);
  let load = load_words(0u, load_at(c, k / RUN));
  let q = Q_SPAN * (q_quad(word(load, k % RUN / Q_PER_WORD), k % Q_PER_WORD) - 1.0);
  return load_scale(0u, scale_at(c, block)) * (q - zero_point(0u, c, block));
}

fn a_base(batch: u32) -> u32 { return 0u; }
fn b_base(batch: u32) -> u32 { return 0u; }
fn a_quad(base: u32, m: u32, k: u32) -> vec4<f32> { return x_quad(min(m, params.m - 1u), k); }
fn result(batch: u32, m: u32, n: u32, value: f32) { store(m, n, value); }

fn store(m: u32, column: u32, value: f32) {
  if (m >= params.m || column >= params.n) { return; }
  y[m * params.n + column] = y_t(value + load_bias(0u, column));
}
