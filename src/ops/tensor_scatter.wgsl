// y = x with `steps` positions of the axis of extent `dim` replaced by those of `updates`, from starts[batch] on and
// around the end.
//   x, updates, starts? (i64 as words) -> y    consts: STARTS, those of lib/move
//   params: size, lines (of a batch entry), dim, steps, inner (units)
#include "lib/move.wgsl"
#include "lib/updates_unit.wgsl"
#include "lib/x_unit.wgsl"

fn unit_at(i: u32) -> unit_t {
  let row = i / params.inner;
  let line = row / params.dim;
  var start = 0u;
#if STARTS
  start = starts[2u * (line / params.lines)];
#endif
  let step = (row - line * params.dim + params.dim - start % params.dim) % params.dim;
  if (step >= params.steps) { return x_unit(i); }
  return updates_unit((line * params.steps + step) * params.inner + (i - row * params.inner));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
