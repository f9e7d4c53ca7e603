// A dense product, one result after the other, for every element type.
//   a, b, bias?  ->  y     consts: acc_t, INT64, SCALED (alpha and beta count), BIAS     params: as lib/dense_block, size
#include "lib/batch.wgsl"
#if INT64
#include "lib/int64.wgsl"
fn plus(acc: acc_t, v: acc_t) -> acc_t { return add64(acc, v); }
fn times(x: acc_t, w: acc_t) -> acc_t { return mul64(x, w); }
#else
fn plus(acc: acc_t, v: acc_t) -> acc_t { return acc + v; }
fn times(x: acc_t, w: acc_t) -> acc_t { return x * w; }
#endif

fn y_at(i: u32) -> y_v {
  let n = i % params.n;
  let m = i / params.n % params.m;
  let batch = i / params.n / params.m;
  let a_at = batch_base(batch, true) + m * params.a_m;
  let b_at = batch_base(batch, false) + n * params.b_n;
  var acc = acc_t();
  for (var k = 0u; k < params.k; k++) {
    acc = plus(acc, times(a_get(a_at + k * params.a_k), b_get(b_at + k * params.b_k)));
  }
#if SCALED
  acc *= params.alpha;
#endif
#if BIAS
  let extra = bias_get(m * params.bias_m + n * params.bias_n);
#if SCALED
  acc += params.beta * extra;
#else
  acc = plus(acc, extra);
#endif
#endif
  return acc;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 64u + lane);
}
