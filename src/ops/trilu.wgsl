// Keeps the upper or lower triangle of each matrix, bits unchanged; the rest becomes 0.   x -> y
//   consts: WG, UPPER     params: size (elements), rows, cols, k (diagonal)
fn y_at(i: u32) -> y_v {
  let row = i32(i / params.cols % params.rows);
  let distance = i32(i % params.cols) - row;
  if (select(distance <= params.k, distance >= params.k, UPPER)) { return x_get(i); }
  return y_v();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * WG + lane);
}
