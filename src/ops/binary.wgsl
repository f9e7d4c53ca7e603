// y = f(a, b) with broadcasting.   a, b -> y
//   consts: WG, RANK (axes of the walk), f (fn f(a: V, b: W) -> R), a_load, b_load (fn a_load(i: u32) -> V),
//           V, W, R (value types; vectors of four with VEC), VEC (a and b are read as vectors or splatted, y is
//           written as vectors), FLAGS (y is bool; with VEC four in a word), WIDE (64-bit integers),
//           MATH, POWER (f needs that library)
//   params: dims, a_stride, b_stride (sizes and strides of the walk, lists), size (elements of y, or vectors)
#if WIDE
#include "lib/int64.wgsl"
#endif
#if MATH
#include "lib/math.wgsl"
#endif
#if POWER
#include "lib/power.wgsl"
#endif

fn source(i: u32) -> vec2<u32> {
  var rest = i;
  var at = vec2<u32>(0u, 0u);
  for (var d = RANK - 1u; d > 0u; d--) {
    let next = rest / dims_at(d);
    at += (rest - next * dims_at(d)) * vec2<u32>(a_stride_at(d), b_stride_at(d));
    rest = next;
  }
  return at + rest * vec2<u32>(a_stride_at(0u), b_stride_at(0u));
}

#if !VEC
fn y_at(i: u32) -> y_v {
  let at = source(i);
  return f(a_load(at.x), b_load(at.y));
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
#if VEC
  if (i >= params.size) { return; }
  let at = source(i);
  let v = f(a_load(at.x), b_load(at.y));
#if FLAGS
  y[i] = dot(select(vec4<u32>(0u), vec4<u32>(1u, 0x100u, 0x10000u, 0x1000000u), v), vec4<u32>(1u));
#else
  y[i] = y_t(v);
#endif
#else
  y_emit(i);
#endif
}
