// Ones on diagonal k of a matrix, zeros elsewhere.   -> y
//   consts: WG, one (fn one() -> y_v)     params: size (elements), cols, k
fn y_at(i: u32) -> y_v {
  if (i32(i % params.cols) - i32(i / params.cols) == params.k) { return one(); }
  return y_v();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * WG + lane);
}
