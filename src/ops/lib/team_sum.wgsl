// team_sum(v, thread): the sum of v over the TEAM neighbouring threads of this thread's team, in every one of them.
// All threads of the workgroup must call it, `thread` being the local invocation index.
//   consts: WG and TEAM (powers of two, TEAM <= WG), SUBGROUPS (bool), SG (the fixed subgroup size; 1 without)
var<workgroup> team_parts: array<f32, WG>;

fn team_sum(value: f32, thread: u32) -> f32 {
#if SUBGROUPS
  var v = value;
  for (var step = min(TEAM, SG) / 2u; step > 0u; step /= 2u) { v += subgroupShuffleXor(v, step); }
  if (TEAM <= SG) { return v; }
  workgroupBarrier();
  if (thread % SG == 0u) { team_parts[thread / SG] = v; }
  workgroupBarrier();
  let first = thread / TEAM * (TEAM / SG);
  v = 0.0;
  for (var i = 0u; i < TEAM / SG; i++) { v += team_parts[first + i]; }
  return v;
#else
  workgroupBarrier();
  team_parts[thread] = value;
  for (var step = TEAM / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (thread % TEAM < step) { team_parts[thread] += team_parts[thread + step]; }
  }
  workgroupBarrier();
  return team_parts[thread / TEAM * TEAM];
#endif
}
