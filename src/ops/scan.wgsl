// Running sums along lines of `dim` elements that lie `stride` apart; a workgroup takes one line, WG elements at a time.
//   x: [outer][dim][stride]   ->   y: the same
//   consts: WG, A (value type), EXCLUSIVE, REVERSE, WIDE (64-bit integers)    params: lines, dim, stride
#if WIDE
#include "lib/int64.wgsl"
fn plus(a: A, b: A) -> A { return add64(a, b); }
#else
fn plus(a: A, b: A) -> A { return a + b; }
#endif

var<workgroup> sums: array<A, WG>;

fn place(first: u32, i: u32) -> u32 {
  return first + select(i, params.dim - 1u - i, REVERSE) * params.stride;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group);
  if (line >= params.lines) { return; }
  let first = line / params.stride * params.dim * params.stride + line % params.stride;
  var before = A();  // the sum of earlier elements
  for (var base = 0u; base < params.dim; base += WG) {
    let i = base + lane;
    var own = A();
    if (i < params.dim) { own = x_get(place(first, i)); }
    sums[lane] = own;
    workgroupBarrier();
    for (var step = 1u; step < WG; step *= 2u) {
      var other = A();
      if (lane >= step) { other = sums[lane - step]; }
      workgroupBarrier();
      sums[lane] = plus(sums[lane], other);
      workgroupBarrier();
    }
    var sum = A();
    if (lane > 0u) { sum = sums[lane - 1u]; }
    if (!EXCLUSIVE) { sum = plus(sum, own); }
    if (i < params.dim) { y_put(place(first, i), plus(before, sum)); }
    before = plus(before, sums[WG - 1u]);
    workgroupBarrier();
  }
}
