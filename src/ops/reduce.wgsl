// y[o] = done(start() joined with map(x) over the elements that reduce into output o), in the type A.
//   x -> y    consts: WG, TEAM (a workgroup takes one output, else a thread takes one), KEPT, RED (lengths of the lists),
//             A, X (value types), code (start, map, join, done), WIDE (64-bit integers), MATH (floats), VF, VU, VI, VB
//   lists: kept, kept_stride, red, red_stride (sizes and element strides of x, outermost first)
//   params: size (outputs), count (elements of each)
#if WIDE
#include "lib/int64.wgsl"
#endif
#if MATH
#include "lib/math.wgsl"
#endif

fn first_of(output: u32) -> u32 {
  if (KEPT == 1u) { return output * kept_stride_at(0u); }
  var rest = output;
  var at = 0u;
  for (var a = KEPT; a > 0u; a--) {
    at += rest % kept_at(a - 1u) * kept_stride_at(a - 1u);
    rest /= kept_at(a - 1u);
  }
  return at;
}

fn offset_of(element: u32) -> u32 {
  if (RED == 1u) { return element * red_stride_at(0u); }
  var rest = element;
  var at = 0u;
  for (var a = RED; a > 0u; a--) {
    at += rest % red_at(a - 1u) * red_stride_at(a - 1u);
    rest /= red_at(a - 1u);
  }
  return at;
}

fn fold(output: u32, from_: u32, step: u32) -> A {
  let first = first_of(output);
  var a = start();
  for (var j = from_; j < params.count; j += step) { a = join(a, map(x_get(first + offset_of(j)))); }
  return a;
}

#if TEAM
var<workgroup> parts: array<A, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let output = group_index(group);
  if (output >= params.size) { return; }
  parts[lane] = fold(output, lane, WG);
  for (var n = WG / 2u; n > 0u; n /= 2u) {
    workgroupBarrier();
    if (lane < n) { parts[lane] = join(parts[lane], parts[lane + n]); }
  }
  if (lane == 0u) { y_put(output, done(parts[0])); }
}
#else
fn y_at(output: u32) -> y_v { return done(fold(output, 0u, 1u)); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * WG + lane);
}
#endif
