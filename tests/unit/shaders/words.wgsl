// Reads every word of x and adds it into y[0].   x, y (words, atomic)    params: size
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 64u + lane;
  if (i >= params.size) { return; }
  atomicAdd(&y[0], x[i]);
}
