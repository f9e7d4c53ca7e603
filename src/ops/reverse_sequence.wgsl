// Reverses the first lengths[b] time steps of batch entry b; x is [time, batch, inner] (TIME_FIRST) or [batch, time, inner].
//   x, lengths (i64 as words) -> y    consts: TIME_FIRST, WORDS    params: size, columns (extent of axis 1), inner (units)
#include "lib/move.wgsl"

fn source(i: u32) -> u32 {
  let cell = i / params.inner;
  let row = cell / params.columns;
  let column = cell - row * params.columns;
  let time = select(column, row, TIME_FIRST);
  let batch = select(row, column, TIME_FIRST);
  let length = lengths[2u * batch];
  if (time >= length) { return i; }
  let mirror = length - 1u - time;
  let at = select(row * params.columns + mirror, mirror * params.columns + column, TIME_FIRST);
  return at * params.inner + (i - cell * params.inner);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_unit(group_index(group) * 256u + lane);
}
