// y = condition ? a : b with broadcasting, bits unchanged.   c (bool), a, b -> y
//   consts: WG, RANK (axes of the walk), VEC (four elements at a time; a and b are vectors or splatted),
//           FLAGS (with VEC: c is read as words of four bools, else splatted)
//   params: dims, c_stride, a_stride, b_stride (sizes and strides of the walk), size (elements of y, or vectors)
fn source(i: u32) -> vec3<u32> {
  var rest = i;
  var at = vec3<u32>(0u, 0u, 0u);
  for (var d = RANK - 1u; d > 0u; d--) {
    let next = rest / dims_at(d);
    at += (rest - next * dims_at(d)) * vec3<u32>(c_stride_at(d), a_stride_at(d), b_stride_at(d));
    rest = next;
  }
  return at + rest * vec3<u32>(c_stride_at(0u), a_stride_at(0u), b_stride_at(0u));
}

#if VEC
fn four_flags(at: u32) -> vec4<bool> {
#if FLAGS
  return (vec4<u32>(c[at]) & vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u)) != vec4<u32>(0u);
#else
  return vec4<bool>(c_get(at));
#endif
}
#else
fn y_at(i: u32) -> y_v {
  let at = source(i);
  return select(b_get(at.z), a_get(at.y), c_get(at.x));
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * WG + lane;
#if VEC
  if (i >= params.size) { return; }
  let at = source(i);
  y[i] = select(y_t(b[at.z]), y_t(a[at.y]), four_flags(at.x));
#else
  y_emit(i);
#endif
}
