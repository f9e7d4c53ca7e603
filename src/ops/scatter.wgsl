// y = x with the places that have an update replaced by it, in units of `inner` a place.
//   x, updates, head (u32) -> y    consts: WORDS    params: size (units), inner
fn update_of(i: u32) -> u32 { return head[i / params.inner]; }
fn source(i: u32, update: u32) -> u32 { return (update - 1u) * params.inner + i % params.inner; }

#if WORDS
fn write(i: u32) {
  if (i >= params.size) { return; }
  let update = update_of(i);
  if (update == 0u) {
    y[i] = x[i];
  } else {
    y[i] = updates[source(i, update)];
  }
}
#else
fn y_at(i: u32) -> y_v {
  let update = update_of(i);
  if (update == 0u) { return x_get(i); }
  return updates_get(source(i, update));
}
fn write(i: u32) { y_emit(i); }
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  write(group_index(group) * 256u + lane);
}
