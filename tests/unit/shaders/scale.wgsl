// y[i] = x[i] * FACTOR (+ bias[i]) (doubled by FLIP), with every kind of constant and parameter.
//   x, bias (optional: HAS_BIAS) -> y    params: shape, size, factor, shift
#include "shaders/snippet.wgsl"
#include "shaders/snippet.wgsl"
#if HAS_BIAS
fn bias_of(i: u32) -> f32 { return bias_get(i); }  // a comment that names f16
#else
fn bias_of(i: u32) -> f32 { return 0.0; }
#endif
#if !HAS_BIAS
const NO_BIAS = true;
#endif

fn y_at(i: u32) -> y_v {
  let last = shape_at(RANK - 1u);
  let v = acc_t(x_get(i)) * FACTOR * params.factor + bias_of(i) + f32(params.shift);
  return y_v(f(select(v, twice(v), FLIP && last > 0u)));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * WG + lane);
}
