// Notes each update's number at its place. head[place] = number + 1 of the last update, or (LISTS) of the first of a
// list through `next`, in no particular order; 0 where there is none.
//   indices (words) -> head (atomic, zero before), next? (LISTS)    consts: RANK, DEPTH, INDEX_WORDS, LISTS
//   params: dims, strides (the place of an update's coordinates), bounds, steps (of the DEPTH indexed axes), updates
#include "lib/wrap_index.wgsl"

fn start(update: u32) -> u32 {
  var rest = update;
  var at = 0u;
  for (var k = RANK - 1u; k > 0u; k--) {
    let outer = rest / dims_at(k);
    at += (rest - outer * dims_at(k)) * strides_at(k);
    rest = outer;
  }
  return at + rest * strides_at(0u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let update = group_index(group) * 256u + lane;
  if (update >= params.updates) { return; }
  var place = start(update);
  for (var k = 0u; k < DEPTH; k++) {
    let index = index_at(update * DEPTH + k, bounds_at(k));
    if (index == NO_INDEX) { return; }
    place += index * steps_at(k);
  }
#if LISTS
  next[update] = atomicExchange(&head[place], update + 1u);
#else
  atomicMax(&head[place], update + 1u);
#endif
}
