// Fills y with the 8 bytes (low, high), repeated. One word (WIDE: four words) a thread.
//   -> y (words)    consts: WIDE    params: size (words, or groups of four), low, high
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 256u + lane;
  if (i >= params.size) { return; }
#if WIDE
  y[i] = vec4(params.low, params.high, params.low, params.high);
#else
  y[i] = select(params.low, params.high, (i & 1u) == 1u);
#endif
}
