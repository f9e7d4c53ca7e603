// y[o, m, r] = x[o, indices[m], r], zero where the index is out of range. Offsets in units.
//   x, indices (words) -> y    consts: INDEX_WORDS, WORDS    params: size, count (of indices), dim (of x), inner
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"

fn source(i: u32) -> u32 {
  let row = i / params.inner;
  let outer = row / params.count;
  let at = index_at(row - outer * params.count, params.dim);
  if (at == NO_INDEX) { return NOWHERE; }
  return (outer * params.dim + at) * params.inner + (i - row * params.inner);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_unit(group_index(group) * 256u + lane);
}
