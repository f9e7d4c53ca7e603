// A projection for few tokens in integers: a workgroup turns x into digits of 8 bits once (lib/nbits_digits.wgsl), and
// packed products of four fields and four digits give sums without a rounding, one factor a load. A team of LANES
// threads takes COLUMNS columns of a job, whose slots lie end to end along K; the next load is on its way while one is
// multiplied.
//   x [rows][k], weights as in lib/moe_expert.wgsl; experts [slots]; routed? [slots] (shares)  ->  y [jobs][n]
//   consts: WG, LANES, COLUMNS, those of lib/nbits_digits.wgsl and lib/moe_job.wgsl
//   params: m (rows of x), k and runs (of a job), parts (slots a job), share (jobs that share a row of x), tiles
#include "lib/moe_expert.wgsl"
#include "lib/nbits_digits.wgsl"
#include "lib/moe_job.wgsl"

const TEAMS = WG / LANES;
const FOLD = min(LANES, SG);  // lanes that shuffles add up
const PARTS = LANES / FOLD;   // of a team
const RESULTS = COLUMNS / SIDES;

var<workgroup> part: array<f32, TEAMS * PARTS * COLUMNS>;

struct Load { words: w_t, factor: f32, zero: f32 }

fn load_at(job: u32, column: u32, run: u32) -> Load {
  let slot = job * params.parts + run / params.row_runs;
  let at = run % params.row_runs;
  let block = (at * RUN) >> params.block_shift;
  let r = row_of(experts[slot], column);
  return Load(load(r, at), share_of(slot) * scale(r, block), zero_point(r, block) - Q_BASE);
}

fn team_total(team: u32, column: u32) -> f32 {
  var v = 0.0;
  for (var i = 0u; i < PARTS; i++) { v += part[(team * PARTS + i) * COLUMNS + column]; }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let job = group_index(group) / params.tiles;
  let tile = group_index(group) % params.tiles;
  let first = (tile * TEAMS + tid / LANES) * COLUMNS;
  let lane = tid % LANES;
#for c COLUMNS
  var load$c = load_at(job, first + $cu, min(lane, params.runs - 1u));
  var total$c = 0.0;
#endfor
  for (var chunk = 0u; chunk < params.runs; chunk += CHUNK) {
#for p PREP
    let x$p = fetch_x(job / params.share, chunk, $pu, tid);
#endfor
#for p PREP
    _ = store_x(job / params.share, chunk, $pu, tid, x$p, Unit(), false);
#endfor
    workgroupBarrier();
    let end = min(chunk + CHUNK, params.runs);
    for (var run = chunk + lane; run < end; run += LANES) {
      let next = min(run + LANES, params.runs - 1u);
      let share = shares[run - chunk];
#for u UNITS
      let x$u = digits_at(0u, $uu, run - chunk);
#endfor
#for c COLUMNS
      let next$c = load_at(job, first + $cu, next);
      var dots$c = Dots();
#for u UNITS
      dots$c = multiply(fields(load$c.words, $uu), x$u, dots$c);
#endfor
      total$c = fma(load$c.factor, fma(share.x, total_of(dots$c), -load$c.zero * share.y), total$c);
      load$c = next$c;
#endfor
    }
    workgroupBarrier();
  }
#for c COLUMNS
  {
    let v = lanes_total(total$c, FOLD);
    if (tid % FOLD == 0u) { part[tid / FOLD * COLUMNS + $cu] = v; }
  }
#endfor
  workgroupBarrier();
  for (var i = tid; i < TEAMS * RESULTS; i += WG) {
    let team = i / RESULTS;
    let c = i % RESULTS * SIDES;
    finish(job, tile * TEAMS * RESULTS + i, team_total(team, c), team_total(team, c + SIDES - 1u));
  }
}
