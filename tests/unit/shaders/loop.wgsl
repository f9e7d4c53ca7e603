// y[i] = x[i] * (0 + 1 + ... + COUNT - 1), on lines that repeat.   x -> y    params: size
fn y_at(i: u32) -> y_v {
#for i COUNT
  let row$i = x_get(i) * $i.0;
#if TWICE
#for j 2
  let item$i_$j = row$i * $j.0;
#endfor
#endif
#endfor
  var total = y_v();
#for i COUNT
  total += row$i;
#endfor
  return total;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 64u + lane);
}
