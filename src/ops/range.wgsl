// y[i] = start + i * delta.   -> y
//   consts: WIDE (64-bit integers as two words)    params: size, start, delta (WIDE: start_high, delta_high)
#if WIDE
#include "lib/int64.wgsl"
fn y_at(i: u32) -> y_v {
  return add64(W64(params.start, params.start_high), mul64(W64(i, 0u), W64(params.delta, params.delta_high)));
}
#else
fn y_at(i: u32) -> y_v { return params.start + y_v(i) * params.delta; }
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 64u + lane);
}
