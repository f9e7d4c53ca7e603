// y = f(x), element by element.   x -> y
//   consts: WG, f (fn f(v: V) -> R), V, R (value types; vectors of four with VEC), VEC (x and y are vectors),
//           FLAGS (with VEC: y is four bools in a word), WIDE, DOUBLE, MATH, TRIG (f needs that library)
//   params: size (elements of y, or vectors), alpha, beta, gamma (attributes that f reads)
#if WIDE
#include "lib/int64.wgsl"
#endif
#if DOUBLE
#include "lib/float64.wgsl"
#endif
#if MATH
#include "lib/math.wgsl"
#endif
#if TRIG
#include "lib/trig.wgsl"
#endif

#if !VEC
fn y_at(i: u32) -> y_v { return f(x_get(i)); }
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
#if VEC
  if (i >= params.size) { return; }
  let v = f(V(x[i]));
#if FLAGS
  y[i] = dot(select(vec4<u32>(0u), vec4<u32>(1u, 0x100u, 0x10000u, 0x1000000u), v), vec4<u32>(1u));
#else
  y[i] = y_t(v);
#endif
#else
  y_emit(i);
#endif
}
