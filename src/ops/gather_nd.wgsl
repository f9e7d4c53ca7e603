// y[s, r] = x[batch of s, indices[s, 0], ..., indices[s, DEPTH - 1], r], zero where an index is out of range. Offsets in
// units.
//   x, indices (words) -> y    consts: DEPTH, INDEX_WORDS, WORDS
//   params: size, dims and strides (of the indexed axes), inner, slices (of a batch), batch_stride
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"

fn source(i: u32) -> u32 {
  let slice = i / params.inner;
  var at = slice / params.slices * params.batch_stride + (i - slice * params.inner);
  for (var k = 0u; k < DEPTH; k++) {
    let index = index_at(slice * DEPTH + k, dims_at(k));
    if (index == NO_INDEX) { return NOWHERE; }
    at += index * strides_at(k);
  }
  return at;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_unit(group_index(group) * 256u + lane);
}
