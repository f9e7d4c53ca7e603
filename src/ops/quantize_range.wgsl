// parts[g] = the smallest and largest element that group g meets, zero included; groups stride over x.
//   x -> parts (pairs)    consts: WIDE (x is read in fours)    params: size (reads), groups
#include "lib/range.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var low = vec4<f32>();
  var high = vec4<f32>();
  for (var i = group.x * 256u + lane; i < params.size; i += params.groups * 256u) {
#if WIDE
    let v = x[i];
#else
    let v = vec4(x[i]);
#endif
    low = min(low, v);
    high = max(high, v);
  }
  let range = group_range(lane, vec2(min(min(low.x, low.y), min(low.z, low.w)),
                                     max(max(high.x, high.y), max(high.z, high.w))));
  if (lane == 0u) { parts[group.x] = range; }
}
