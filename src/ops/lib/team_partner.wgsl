// partner(x, step, thread): the x of the thread whose number in the team differs in bit `step`, a power of two.
// All threads of the workgroup must call it.
//   consts: WG (a power of two), SUBGROUPS (bool), SG (the fixed subgroup size; 1 without)
var<workgroup> team_values: array<vec4<f32>, WG>;

fn partner(x: vec4<f32>, step: u32, thread: u32) -> vec4<f32> {
#if SUBGROUPS
  if (step < SG) { return subgroupShuffleXor(x, step); }
#endif
  workgroupBarrier();
  team_values[thread] = x;
  workgroupBarrier();
  return team_values[thread ^ step];
}
