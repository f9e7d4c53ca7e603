// y = x with the places that have an update replaced by it, in units of `inner` a place.
//   x, updates, head (u32) -> y    consts: those of lib/move    params: size (units), inner
#include "lib/move.wgsl"
#include "lib/updates_unit.wgsl"
#include "lib/x_unit.wgsl"

fn unit_at(i: u32) -> unit_t {
  let place = i / params.inner;
  let update = head[place];
  if (update == 0u) { return x_unit(i); }
  return updates_unit((update - 1u - place) * params.inner + i);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
