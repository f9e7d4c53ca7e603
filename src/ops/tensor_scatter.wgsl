// y = x with `steps` positions of the axis of extent `dim` replaced by those of `updates`, from starts[batch] on and
// around the end.
//   x, updates, starts? (i64 as words) -> y    consts: STARTS, WORDS
//   params: size, lines (of a batch entry), dim, steps, inner (units)

// The unit of `updates` that belongs to unit i of y, or KEEP.
const KEEP = 0xffffffffu;
fn source(i: u32) -> u32 {
  let row = i / params.inner;
  let line = row / params.dim;
  var start = 0u;
#if STARTS
  start = starts[2u * (line / params.lines)];
#endif
  let step = (row - line * params.dim + params.dim - start % params.dim) % params.dim;
  if (step >= params.steps) { return KEEP; }
  return (line * params.steps + step) * params.inner + (i - row * params.inner);
}

#if WORDS
fn write(i: u32) {
  if (i >= params.size) { return; }
  let at = source(i);
  if (at == KEEP) {
    y[i] = x[i];
  } else {
    y[i] = updates[at];
  }
}
#else
fn y_at(i: u32) -> y_v {
  let at = source(i);
  if (at == KEEP) { return x_get(i); }
  return updates_get(at);
}
fn write(i: u32) { y_emit(i); }
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  write(group_index(group) * 256u + lane);
}
