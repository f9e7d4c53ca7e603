// Reverses the first lengths[b] time steps of batch entry b; x is [time, batch, inner] (TIME_FIRST) or
// [batch, time, inner].
//   x, lengths (i64 as words) -> y    consts: TIME_FIRST, those of lib/move
//   params: size, steps (extent of the time axis), columns (extent of axis 1), inner (units)
#include "lib/move.wgsl"
#include "lib/x_unit.wgsl"

fn unit_at(i: u32) -> unit_t {
  let cell = i / params.inner;
  let row = cell / params.columns;
  let column = cell - row * params.columns;
  let time = select(column, row, TIME_FIRST);
  let batch = select(row, column, TIME_FIRST);
  let length = min(lengths[2u * batch], params.steps);
  if (time >= length) { return x_unit(i); }
  let mirror = length - 1u - time;
  let at = select(row * params.columns + mirror, mirror * params.columns + column, TIME_FIRST);
  return x_unit(at * params.inner + (i - cell * params.inner));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
