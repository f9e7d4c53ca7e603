// y[s, r] = x[batch of s, indices[s, 0], ..., indices[s, DEPTH - 1], r], zero where an index is out of range. Offsets in
// units.
//   x, indices (words) -> y    consts: DEPTH, INDEX_WORDS, those of lib/move
//   params: size, dims and strides (of the indexed axes), inner, slices (of a batch), batch_stride
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"
#include "lib/x_unit.wgsl"

// The slice that the last unit lay in: unit i of y is unit i + slice_shift of x.
var<private> slice_end = 0u;
var<private> slice_shift = 0u;
var<private> slice_exists = false;

fn enter_slice(i: u32) {
  let slice = i / params.inner;
  slice_end = (slice + 1u) * params.inner;
  slice_exists = true;
  var at = slice / params.slices * params.batch_stride;
  for (var k = 0u; k < DEPTH; k++) {
    let index = index_at(slice * DEPTH + k, dims_at(k));
    if (index == NO_INDEX) { slice_exists = false; }
    at += index * strides_at(k);
  }
  slice_shift = at - slice * params.inner;
}

fn unit_at(i: u32) -> unit_t {
  if (i >= slice_end) { enter_slice(i); }
  if (!slice_exists) { return unit_t(); }
  return x_unit(i + slice_shift);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
