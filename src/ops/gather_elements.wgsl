// y[c] = x[c with its coordinate on one axis replaced by indices[c]], zero where the index is out of range.
//   x, indices (words) -> y    consts: RANK, INDEX_WORDS, WORDS
//   params: size, dims (of y), strides (of x, 0 on the axis), dim and stride (of x on the axis)
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"

fn source(i: u32) -> u32 {
  let index = index_at(i, params.dim);
  if (index == NO_INDEX) { return NOWHERE; }
  var at = index * params.stride;
  var rest = i;
  for (var k = RANK - 1u; k > 0u; k--) {
    let next = rest / dims_at(k);
    at += (rest - next * dims_at(k)) * strides_at(k);
    rest = next;
  }
  return at + rest * strides_at(0u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_unit(group_index(group) * 256u + lane);
}
