// Activations of matmul_nbits_few.wgsl, before or after the norm, and their products with weights.
struct Activation {
  low: vec4<f32>,   // x, or (x + skip) * norm
  high: vec4<f32>,
  square: f32,      // of x + skip before the norm's scale
}

// Eight f16 of a vector of words.
fn halves(v: vec2<u32>) -> vec4<f32> { return vec4(unpack2x16float(v.x), unpack2x16float(v.y)); }

// Elements k .. k + 3 of row m of x + skip; zero beyond K.
fn x_quad(m: u32, k: u32) -> vec4<f32> {
  var v = vec4<f32>();
#if X4
  if (k >= params.k) { return v; }
  v = vec4<f32>(x[(m * params.k + k) / 4u]);
#if SKIP
  v += vec4<f32>(skip[(m % params.skip_rows * params.k + k) / 4u]);
#endif
#else
#if !X8
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = x_get(m * params.k + k + i); } }
#endif
#endif
  return v;
}

// Eight elements from k. Rows beyond the last repeat it.
fn activation(row: u32, k: u32, writes_sum: bool) -> Activation {
  let m = min(row, params.m - 1u);
  var v = Activation();
#if X8
  if (k >= params.k) { return v; }
  let bits = x[(m * params.k + k) / 8u];
  v.low = halves(bits.xy);
  v.high = halves(bits.zw);
#if SKIP
  let more = skip[(m % params.skip_rows * params.k + k) / 8u];
  v.low += halves(more.xy);
  v.high += halves(more.zw);
#endif
#else
  v.low = x_quad(m, k);
  v.high = x_quad(m, k + 4u);
#endif
#if SUM
  if (writes_sum && k < params.k) {
    sum[(m * params.k + k) / 4u] = sum_t(v.low);
    if (k + 4u < params.k) { sum[(m * params.k + k) / 4u + 1u] = sum_t(v.high); }
  }
#endif
#if NORM
  v.square = dot(v.low, v.low) + dot(v.high, v.high);
#if X8
  let scale = norm[k / 8u];
  v.low *= halves(scale.xy);
  v.high *= halves(scale.zw);
#else
  v.low *= vec4<f32>(norm[min(k, params.k - 4u) / 4u]);
  v.high *= vec4<f32>(norm[min(k + 4u, params.k - 4u) / 4u]);
#endif
#endif
  return v;
}

// One value of each row: a scalar when there is one.
#if ROWS_4
const ROWS = 4u;
alias row_t = vec4<f32>;
#else
const ROWS = 1u;
alias row_t = f32;
#endif

struct Activations {
#if ROWS_4
  r1: Activation,
  r2: Activation,
  r3: Activation,
#endif
  r0: Activation,
  sum: row_t,
  square: row_t,
}

fn total(v: Activation) -> f32 { return dot(v.low + v.high, vec4(1.0)); }

fn activations(m0: u32, k: u32, writes_sum: bool) -> Activations {
  var v = Activations();
  v.r0 = activation(m0, k, writes_sum);
#if ROWS_4
  v.r1 = activation(m0 + 1u, k, writes_sum);
  v.r2 = activation(m0 + 2u, k, writes_sum);
  v.r3 = activation(m0 + 3u, k, writes_sum);
  v.sum = vec4(total(v.r0), total(v.r1), total(v.r2), total(v.r3));
  v.square = vec4(v.r0.square, v.r1.square, v.r2.square, v.r3.square);
#else
  v.sum = total(v.r0);
  v.square = v.r0.square;
#endif
  return v;
}

// acc + dot(a, b) as four fused operations.
fn chain(a: vec4<f32>, b: vec4<f32>, acc: f32) -> f32 {
  return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, acc))));
}

// acc + the products of octet `o` of a load.
fn multiply_add(bits: w_t, o: u32, v: Activations, acc: row_t) -> row_t {
  let at = o * 8u;
  let low = q_quad(word(bits, at / Q_PER_WORD), at % Q_PER_WORD);
  let high = q_quad(word(bits, (at + 4u) / Q_PER_WORD), (at + 4u) % Q_PER_WORD);
#if ROWS_4
  return vec4(chain(low, v.r0.low, chain(high, v.r0.high, acc.x)), chain(low, v.r1.low, chain(high, v.r1.high, acc.y)),
              chain(low, v.r2.low, chain(high, v.r2.high, acc.z)), chain(low, v.r3.low, chain(high, v.r3.high, acc.w)));
#else
  return chain(low, v.r0.low, chain(high, v.r0.high, acc));
#endif
}

// The sum over FOLD neighbouring lanes.
fn fold(value: f32) -> f32 {
  var v = value;
#if SUBGROUPS
  for (var step = FOLD / 2u; step > 0u; step /= 2u) { v += subgroupShuffleXor(v, step); }
#endif
  return v;
}
