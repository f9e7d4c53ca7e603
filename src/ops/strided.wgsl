// y[c] = x[base + sum of (c_k % wrap_k) * stride_k], axes outermost first; strides are two's complement.
//   x -> y    consts: RANK, WRAP, those of lib/move    params: size, dims, strides, wraps? (WRAP), base
#include "lib/move.wgsl"
#include "lib/x_unit.wgsl"
const INNER = RANK - 1u;

// The row of the innermost axis that the last unit lay in.
var<private> row_first = 0u;
var<private> row_end = 0u;
var<private> row_base = 0u;

fn along(k: u32, c: u32) -> u32 {
#if WRAP
  return (c % wraps_at(k)) * strides_at(k);
#else
  return c * strides_at(k);
#endif
}

fn enter_row(i: u32) {
  var rest = i / dims_at(INNER);
  row_first = rest * dims_at(INNER);
  row_end = row_first + dims_at(INNER);
  row_base = params.base;
  for (var k = INNER; k > 0u; k--) {
    let outer = rest / dims_at(k - 1u);
    row_base += along(k - 1u, rest - outer * dims_at(k - 1u));
    rest = outer;
  }
}

fn unit_at(i: u32) -> unit_t {
  if (i >= row_end) { enter_row(i); }
  return x_unit(row_base + along(INNER, i - row_first));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
