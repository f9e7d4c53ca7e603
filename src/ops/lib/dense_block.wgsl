// Operands of a dense product by strides, in elements; batches broadcast.
//   a, b, bias?  ->  y [batch][M][N]     consts: BIAS
//   params: m, n, k, a_m, a_k, b_k, b_n, bias_m, bias_n, alpha, beta; lists batch, a_batch, b_batch
fn batch_base(batch: u32, of_a: bool) -> u32 {
  var rest = batch;
  var base = 0u;
  for (var d = BATCH_RANK; d > 0u; d--) {
    let i = rest % batch_at(d - 1u);
    rest /= batch_at(d - 1u);
    base += i * select(b_batch_at(d - 1u), a_batch_at(d - 1u), of_a);
  }
  return base;
}

fn a_quad(batch: u32, m: u32, k: u32) -> vec4<f32> {
  var v = vec4<f32>();
  if (m >= params.m) { return v; }
  let base = batch_base(batch, true) + m * params.a_m;
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = f32(a[base + (k + i) * params.a_k]); } }
  return v;
}

fn b_quad(batch: u32, n: u32, k: u32) -> vec4<f32> {
  var v = vec4<f32>();
  if (n >= params.n) { return v; }
  let base = batch_base(batch, false) + n * params.b_n;
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = f32(b[base + (k + i) * params.b_k]); } }
  return v;
}

fn result(batch: u32, m: u32, n: u32, value: f32) {
  if (m >= params.m || n >= params.n) { return; }
  var v = params.alpha * value;
#if BIAS
  v += params.beta * f32(bias[m * params.bias_m + n * params.bias_n]);
#endif
  y[(batch * params.m + m) * params.n + n] = y_t(v);
}
