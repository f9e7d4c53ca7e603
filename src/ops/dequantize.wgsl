// y = (x - zero) * scale.
//   x, scale, zero? -> y    consts: ZERO, ONE, PER_AXIS    params: size, dim, stride, block, blocks
#include "lib/scale_index.wgsl"

fn y_at(i: u32) -> y_v {
  let at = scale_index(i);
  var v = i32(x_get(i));
#if ZERO
  v -= i32(zero_get(at));
#endif
  return f32(v) * scale_get(at);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
