// Adds a bias along the last axis (and a skip), then applies an activation.   x, bias, skip? -> y
//   consts: WG, VEC, V, VF, VU, VI, VB (value types), SPLIT (y has half the columns: left half times f of the right one),
//           SKIP (y = x + bias + skip), f (fn f(v: V) -> V)
//   params: size (elements of y, or vectors), cols (elements of the bias, or vectors)
#include "lib/math.wgsl"

fn value(i: u32, col: u32) -> V {
#if VEC
  return V(x[i]) + V(bias[col]);
#else
  return x_get(i) + bias_get(col);
#endif
}
fn result(i: u32) -> V {
#if SPLIT
  let half_cols = params.cols / 2u;
  let col = i % half_cols;
  let at = (i - col) * 2u + col;
  return value(at, col) * f(value(at + half_cols, col + half_cols));
#else
  let v = f(value(i, i % params.cols));
#if SKIP
#if VEC
  return v + V(skip[i]);
#else
  return v + skip_get(i);
#endif
#else
  return v;
#endif
#endif
}

#if !VEC
fn y_at(i: u32) -> y_v { return result(i); }
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
#if VEC
  if (i < params.size) { y[i] = y_t(result(i)); }
#else
  y_emit(i);
#endif
}
