// y[c] = x[base + sum of (c_k % wrap_k) * stride_k], axes outermost first; strides are two's complement.
//   x -> y    consts: RANK, WRAP, WORDS    params: size, dims, strides, wraps? (WRAP), base
#include "lib/move.wgsl"

fn source(i: u32) -> u32 {
  var rest = i;
  var at = params.base;
  for (var k = RANK - 1u; k > 0u; k--) {
    let next = rest / dims_at(k);
    at += axis(k, rest - next * dims_at(k));
    rest = next;
  }
  return at + axis(0u, rest);
}

fn axis(k: u32, c: u32) -> u32 {
#if WRAP
  return (c % wraps_at(k)) * strides_at(k);
#else
  return c * strides_at(k);
#endif
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_unit(group_index(group) * 256u + lane);
}
