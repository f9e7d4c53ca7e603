// y = min(max(x, low), high); NaN stays NaN.   x, low?, high? (one element each) -> y
//   consts: WG, V, S (value type; V a vector of four with VEC), VEC, LOW, HIGH (which bounds are tensors), WIDE, SIGNED,
//           BOUNDS (float bounds from params, the attribute form)
//   params: size (elements of y, or vectors), low_value, high_value
#if WIDE
#include "lib/int64.wgsl"
#endif

fn clip(x: V) -> V {
  var v = x;
#if WIDE
#if LOW
  let low_bound = low_get(0u);
  v = select(v, low_bound, select(less_u64(v, low_bound), less_i64(v, low_bound), SIGNED));
#endif
#if HIGH
  let high_bound = high_get(0u);
  v = select(v, high_bound, select(less_u64(high_bound, v), less_i64(high_bound, v), SIGNED));
#endif
#else
#if LOW
  v = select(v, V(low_get(0u)), v < V(low_get(0u)));
#endif
#if HIGH
  v = select(v, V(high_get(0u)), v > V(high_get(0u)));
#endif
#if BOUNDS
  v = select(v, V(params.low_value), v < V(params.low_value));
  v = select(v, V(params.high_value), v > V(params.high_value));
#endif
#endif
  return v;
}

#if !VEC
fn y_at(i: u32) -> y_v { return clip(x_get(i)); }
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
#if VEC
  if (i < params.size) { y[i] = y_t(clip(V(x[i]))); }
#else
  y_emit(i);
#endif
}
