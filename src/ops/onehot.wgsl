// y[o, d, r] = values[1] where d is indices[o, r] (negative ones count from the back), else values[0].
//   indices, values -> y    consts: WIDE (64-bit indices)    params: size, depth, inner
fn hot(i: u32, d: u32) -> bool {
#if WIDE
  let v = indices_get(i);
  return (v.y == 0u && v.x == d) || (v.y == 0xffffffffu && v.x + params.depth == d && v.x > d);
#else
  let v = indices_get(i);
  return i32(v) == i32(d) || i32(v) == i32(d) - i32(params.depth);
#endif
}

fn y_at(i: u32) -> y_v {
  let line = i / params.inner;
  let outer = line / params.depth;
  let within = i - line * params.inner;
  return values_get(select(0u, 1u, hot(outer * params.inner + within, line - outer * params.depth)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
