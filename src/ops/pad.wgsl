// y[c] = x[base + sum of m_k(c_k) * stride_k], where m_k maps a coordinate of y to one of the `extent` elements of x, of
// which `before` pads come first; MODE: 0 constant (the bytes low, high, repeated, outside), 1 reflect, 2 edge, 3 wrap.
//   x -> y    consts: RANK, MODE, FOUR (a unit is four words), those of lib/move
//   params: size, dims (of y), extents, before, strides, base, low, high
#include "lib/move.wgsl"
#include "lib/x_unit.wgsl"
const INNER = RANK - 1u;
const OUTSIDE = 0xffffffffu;

// The row of the innermost axis that the last unit lay in.
var<private> row_first = 0u;
var<private> row_end = 0u;
var<private> row_base = 0u;
var<private> row_exists = true;

fn mapped(k: u32, c: u32) -> u32 {
  let extent = extents_at(k);
  let before = before_at(k);
  switch (MODE) {
    case 0u: { return select(OUTSIDE, c - before, c >= before && c - before < extent); }
    case 1u: {
      let period = max(2u * (extent - 1u), 1u);
      let at = (c + period - before % period) % period;
      return min(at, period - at);
    }
    case 2u: { return min(select(0u, c - before, c >= before), extent - 1u); }
    default: { return (c + extent - before % extent) % extent; }
  }
}

fn enter_row(i: u32) {
  var rest = i / dims_at(INNER);
  row_first = rest * dims_at(INNER);
  row_end = row_first + dims_at(INNER);
  row_base = params.base;
  row_exists = true;
  for (var k = INNER; k > 0u; k--) {
    let outer = rest / dims_at(k - 1u);
    let c = mapped(k - 1u, rest - outer * dims_at(k - 1u));
    if (c == OUTSIDE) { row_exists = false; }
    row_base += c * strides_at(k - 1u);
    rest = outer;
  }
}

fn filling() -> unit_t {
#if FOUR
  return vec4(params.low, params.high, params.low, params.high);
#else
#if PAIRS
  return vec2(params.low, params.high);
#else
  return params.low & (0xffffffffu >> (32u - BITS));
#endif
#endif
}

fn unit_at(i: u32) -> unit_t {
  if (i >= row_end) { enter_row(i); }
  let c = mapped(INNER, i - row_first);
  if (!row_exists || c == OUTSIDE) { return filling(); }
  return x_unit(row_base + c * strides_at(INNER));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
