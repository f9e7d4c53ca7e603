// Rows of x [..][k].   consts: X4 (K is a multiple of 4)    params: k

// Elements k to k + 3 of a row of x; zeros beyond K.
fn x_quad(row: u32, k: u32) -> vec4<f32> {
#if X4
  if (k >= params.k) { return vec4<f32>(); }
  return vec4<f32>(x[(row * params.k + k) / 4u]);
#else
  var v = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = x_get(row * params.k + k + i); } }
  return v;
#endif
}
