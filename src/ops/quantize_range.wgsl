// parts[g] = the smallest and largest element that group g meets, zero included; groups stride over x.
//   x -> parts (pairs)    params: size, groups
#include "lib/range.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var range = vec2<f32>();
  for (var i = group.x * 256u + lane; i < params.size; i += params.groups * 256u) {
    range = vec2(min(range.x, x_get(i)), max(range.y, x_get(i)));
  }
  range = group_range(lane, range);
  if (lane == 0u) { parts[group.x] = range; }
}
