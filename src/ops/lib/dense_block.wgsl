// Operands of a dense product by strides, in elements; batches broadcast. Quads lie along the contiguous axis and are
// zero outside the operand.
//   a, b, bias?  ->  y [batch][M][N]     consts: BIAS, BATCH_RANK, A_ALONG_M, B_ALONG_N, A_QUADS, B_QUADS (vec4 bindings)
//   params: m, n, k, a_m, a_k, b_k, b_n, bias_m, bias_n, alpha, beta; lists batch, a_batch, b_batch
#include "lib/batch.wgsl"

fn a_base(batch: u32) -> u32 { return batch_base(batch, true); }
fn b_base(batch: u32) -> u32 { return batch_base(batch, false); }

fn a_quad(base: u32, m: u32, k: u32) -> vec4<f32> {
  if (m >= params.m || k >= params.k) { return vec4<f32>(); }
  let at = base + m * params.a_m + k * params.a_k;
#if A_QUADS
  return vec4<f32>(a[at / 4u]);
#else
  var v = vec4<f32>();
  let inside = select(params.k - k, params.m - m, A_ALONG_M);
  let step = select(params.a_k, params.a_m, A_ALONG_M);
  for (var i = 0u; i < 4u; i++) { if (i < inside) { v[i] = a_get(at + i * step); } }
  return v;
#endif
}

fn b_quad(base: u32, n: u32, k: u32) -> vec4<f32> {
  if (n >= params.n || k >= params.k) { return vec4<f32>(); }
  let at = base + n * params.b_n + k * params.b_k;
#if B_QUADS
  return vec4<f32>(b[at / 4u]);
#else
  var v = vec4<f32>();
  let inside = select(params.k - k, params.n - n, B_ALONG_N);
  let step = select(params.b_k, params.b_n, B_ALONG_N);
  for (var i = 0u; i < 4u; i++) { if (i < inside) { v[i] = b_get(at + i * step); } }
  return v;
#endif
}

fn result(batch: u32, m: u32, n: u32, value: f32) {
  if (m >= params.m || n >= params.n) { return; }
  var v = params.alpha * value;
#if BIAS
  v += params.beta * bias_get(m * params.bias_m + n * params.bias_n);
#endif
  y[(batch * params.m + m) * params.n + n] = y_t(v);
}
