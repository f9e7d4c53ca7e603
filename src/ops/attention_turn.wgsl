// Head vectors of attention over a cache of 4 bits, whose values are turned (lib/head_turn.wgsl), turned back. One team of
// LANES threads a vector, a thread four elements of it.
//   x -> y, bound four elements a vector    params: heads (vectors of D)
#include "lib/team_partner.wgsl"
#include "lib/head_turn.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group_index(group) * (WG / LANES) + thread / LANES;
  let at = min(head, params.heads - 1u) * D + thread % LANES;
  let line = turned(Line(V(x[at])), thread);
  if (head < params.heads) { y[at] = y_t(line[0]); }
}
