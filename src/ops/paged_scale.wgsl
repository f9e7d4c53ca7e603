// Sums of integer values become the output of PagedAttention: y = x * v_scale.
//   x (f32) [tokens][heads][D], v_scale -> y    four elements a vector; D: vectors of a head
//   V_CHANNELS: v_scale has an element for each of a token, else one in all (bound alone)
//   params: count (vectors), heads, group (query heads of a kv head)
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 64u + lane;
  if (i >= params.count) { return; }
#if V_CHANNELS
  y[i] = y_t(x[i] * v_scale[i / D % params.heads / params.group * D + i % D]);
#else
  y[i] = y_t(x[i] * v_scale[0]);
#endif
}
