// A projection for few tokens: each load of a weight serves one slot (a token's place for one of its experts). A team
// of TEAM threads computes COLUMNS columns; the slots of a job lie end to end along K, so that a token's experts are
// summed where they are multiplied.
//   x, weights as in lib/moe_expert.wgsl; experts [slots]; routed? [slots] (shares)  ->  y [jobs][n]
//   consts: WG, TEAM, COLUMNS, QUADS (4 weights each a load); those of lib/team_sum.wgsl and lib/moe_job.wgsl
//   params: parts (slots a job), share (slots that share a row of x), tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_row.wgsl"
#include "lib/moe_dots.wgsl"
#include "lib/moe_job.wgsl"
#include "lib/team_sum.wgsl"

struct Sums {
#for c COLUMNS
  c$c: f32,
#endfor
  x: f32,
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let job = group_index(group) / params.tiles;
  let lane = tid % TEAM;
  let first = (group_index(group) % params.tiles * (WG / TEAM) + tid / TEAM) * COLUMNS;
  var part = lane / params.row_runs;
  var run = lane % params.row_runs;
  var total = Sums();
  while (part < params.parts) {
    let slot = job * params.parts + part;
    let share = share_of(slot);
    if (share != 0.0) {
      let row = slot / params.share;
#for c COLUMNS
      let r$c = row_of(experts[slot], first + $cu);
      let words$c = load(r$c, run);
#endfor
      let k = run * RUN;
      var sums = Sums();
#for j QUADS
      let v$j = x_quad(row, k + 4u * $ju);
      sums.x += dot(v$j, vec4(1.0));
#for c COLUMNS
      sums.c$c = chain(quad(words$c, $ju, k), v$j, sums.c$c);
#endfor
#endfor
#for c COLUMNS
      let w$c = weighing(r$c, k);
      total.c$c += share * w$c.factor * (sums.c$c - w$c.zero * sums.x);
#endfor
    }
    run += TEAM;
    while (run >= params.row_runs) {
      run -= params.row_runs;
      part++;
    }
  }
  var sums: array<f32, COLUMNS>;
#for c COLUMNS
  sums[$cu] = team_sum(total.c$c, tid);
#endfor
  if (lane != 0u) { return; }
  for (var i = 0u; i < COLUMNS / SIDES; i++) {
    finish(job, first / SIDES + i, sums[i * SIDES], sums[i * SIDES + SIDES - 1u]);
  }
}
