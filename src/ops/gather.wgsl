// y[o, m, r] = x[o, indices[m], r], zero where the index is out of range. Offsets in units.
//   x, indices (words) -> y    consts: INDEX_WORDS, those of lib/move
//   params: size, count (of indices), dim (of x), inner
#include "lib/move.wgsl"
#include "lib/wrap_index.wgsl"
#include "lib/x_unit.wgsl"

// The row that the last unit lay in: unit i of y is unit i + row_shift of x.
var<private> row_end = 0u;
var<private> row_shift = 0u;
var<private> row_exists = false;

fn enter_row(i: u32) {
  let row = i / params.inner;
  let outer = row / params.count;
  let at = index_at(row - outer * params.count, params.dim);
  row_end = (row + 1u) * params.inner;
  row_shift = (outer * params.dim + at - row) * params.inner;
  row_exists = at != NO_INDEX;
}

fn unit_at(i: u32) -> unit_t {
  if (i >= row_end) { enter_row(i); }
  if (!row_exists) { return unit_t(); }
  return x_unit(i + row_shift);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
