// y[line] = the index of the largest element (the smallest with LEAST) of a line of `dim` elements `stride` apart, the
// first of equal ones (the last with LAST). A workgroup takes one line. NaN is larger and smaller than everything else.
//   x: [outer][dim][stride]   ->   y: [outer][stride] (i64)
//   consts: WG, LEAST, LAST, X (value of x), WIDE (64-bit integers), SIGNED (of them), FLOATS    params: lines, dim, stride
#if WIDE
#include "lib/int64.wgsl"
fn less(a: X, b: X) -> bool {
#if SIGNED
  return less_i64(a, b);
#else
  return less_u64(a, b);
#endif
}
fn same(a: X, b: X) -> bool { return equal64(a, b); }
fn is_nan(a: X) -> bool { return false; }
#else
#if FLOATS
fn is_nan(a: X) -> bool { return (bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u; }
#else
fn is_nan(a: X) -> bool { return false; }
#endif
fn less(a: X, b: X) -> bool { return a < b; }
fn same(a: X, b: X) -> bool { return a == b; }
#endif

struct Found {
  value: X,
  index: u32,
}
const NOTHING = 0xffffffffu;

// True when `b` takes the place of `a`.
fn better(b: Found, a: Found) -> bool {
  if (b.index == NOTHING || a.index == NOTHING) { return a.index == NOTHING; }
  let nan_a = is_nan(a.value);
  let nan_b = is_nan(b.value);
  let equal = (nan_a && nan_b) || (!nan_a && !nan_b && same(a.value, b.value));
  if (equal) { return (b.index > a.index) == LAST; }
  if (nan_a || nan_b) { return nan_b; }
  if (LEAST) { return less(b.value, a.value); }
  return less(a.value, b.value);
}

var<workgroup> found: array<Found, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group);
  if (line >= params.lines) { return; }
  let first = line / params.stride * params.dim * params.stride + line % params.stride;
  var best = Found(X(), NOTHING);
  for (var i = lane; i < params.dim; i += WG) {
    let next = Found(x_get(first + i * params.stride), i);
    if (better(next, best)) { best = next; }
  }
  found[lane] = best;
  for (var n = WG / 2u; n > 0u; n /= 2u) {
    workgroupBarrier();
    if (lane < n && better(found[lane + n], found[lane])) { found[lane] = found[lane + n]; }
  }
  if (lane == 0u) { y_put(line, vec2<u32>(found[0].index, 0u)); }
}
