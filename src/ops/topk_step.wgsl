// One step of a bitonic sort of each line's places in device memory.   x -> order: [lines][padded], in place
//   consts: WG, START (writes the places 0, 1, ... first of all, and sorts nothing), LONG, better
//   params: dim, stride, size (pairs of all lines, or places with START), padded (a power of two), run, step
#include "lib/topk_order.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
  if (i >= params.size) { return; }
  if (START) {
    let place = i % params.padded;
    order[i] = select(NOWHERE, place, place < params.dim);
    return;
  }
  let line = i / (params.padded / 2u);
  let pair = i % (params.padded / 2u);
  let in_line = pair / params.step * params.step * 2u + pair % params.step;
  let a = line * params.padded + in_line;
  let b = a + params.step;
  let first = order[a];
  let second = order[b];
  let swap_wanted = comes_first(value_at(line, second), second, value_at(line, first), first);
  if (swap_wanted == ((in_line & params.run) == 0u)) {
    order[a] = second;
    order[b] = first;
  }
}
