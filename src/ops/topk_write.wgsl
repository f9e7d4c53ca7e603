// Values and indices of the first k places of each line.   x, order: [lines][pitch] -> y, at (int64)
//   consts: WG, LONG, better     params: dim, stride, size (elements of y), k, pitch
#include "lib/topk_order.wgsl"

fn place_of(i: u32) -> vec2<u32> {  // (line, place) of output element i
  let line = i / (params.k * params.stride) * params.stride + i % params.stride;
  return vec2<u32>(line, order[line * params.pitch + i / params.stride % params.k]);
}
fn y_at(i: u32) -> y_v {
  let p = place_of(i);
  return value_at(p.x, p.y);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let word = group_index(group) * WG + lane;
  y_emit(word);
  for (var i = word * y_per_thread; i < min((word + 1u) * y_per_thread, params.size); i++) {
    at_put(i, vec2<u32>(place_of(i).y, 0u));
  }
}
