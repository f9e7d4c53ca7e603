// y = clamp(round(x / scale) + zero), ties to even.
//   x, scale, zero? -> y    consts: ZERO, ONE, PER_AXIS, LOW, HIGH (range of y's type)
//   params: size, dim, stride, block, blocks
#include "lib/divide.wgsl"
#include "lib/scale_index.wgsl"

fn y_at(i: u32) -> y_v {
  let at = scale_index(i);
  var v = round(divide(f32(x_get(i)), scale_get(at)));
#if ZERO
  v += f32(zero_get(at));
#endif
  return y_v(clamp(v, LOW, HIGH));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
