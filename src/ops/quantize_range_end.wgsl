// Scale and zero point that map the range of all parts to [0, 255]. One workgroup.
//   parts (pairs) -> scale, zero    params: groups (parts), size (1)
#include "lib/divide.wgsl"
#include "lib/range.wgsl"
var<private> zero_point: u32;
fn zero_at(i: u32) -> zero_v { return zero_point; }

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  var range = vec2<f32>();
  for (var i = lane; i < params.groups; i += 256u) {
    range = vec2(min(range.x, parts[i].x), max(range.y, parts[i].y));
  }
  range = group_range(lane, range);
  if (lane != 0u) { return; }
  var step = divide(range.y - range.x, 255.0);
  if (range.y == range.x) { step = 1.0; }
  scale_put(0u, step);
  zero_point = u32(round(clamp(divide(-range.x, step), 0.0, 255.0)));
  zero_emit(0u);
}
