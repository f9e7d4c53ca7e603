// y[c] = x[c with its coordinate on one axis replaced by indices[c]], zero where the index is out of range.
//   x, indices (words) -> y    consts: RANK, INDEX_WORDS, those of lib/move
//   params: size, dims (of y), strides (of x, 0 on the axis), dim and stride (of x on the axis)
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"
#include "lib/x_unit.wgsl"
const INNER = RANK - 1u;

// The row of the innermost axis that the last unit lay in.
var<private> row_first = 0u;
var<private> row_end = 0u;
var<private> row_base = 0u;

fn enter_row(i: u32) {
  var rest = i / dims_at(INNER);
  row_first = rest * dims_at(INNER);
  row_end = row_first + dims_at(INNER);
  row_base = 0u;
  for (var k = INNER; k > 0u; k--) {
    let outer = rest / dims_at(k - 1u);
    row_base += (rest - outer * dims_at(k - 1u)) * strides_at(k - 1u);
    rest = outer;
  }
}

fn unit_at(i: u32) -> unit_t {
  if (i >= row_end) { enter_row(i); }
  let index = index_at(i, params.dim);
  if (index == NO_INDEX) { return unit_t(); }
  return x_unit(row_base + (i - row_first) * strides_at(INNER) + index * params.stride);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
