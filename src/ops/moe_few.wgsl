// A projection for few tokens: each load of a weight serves one slot (a token's place for one of its experts). A team
// of TEAM threads computes COLUMNS columns; the slots of a job lie end to end along K, so that a token's experts are
// summed where they are multiplied (MIXED). Columns and quads are written out: what loops index leaves the registers.
//   x, weights as in lib/moe_expert.wgsl; experts [slots]; shares? [slots] (shares of the slots)  ->  y [jobs][n]
//   consts: WG, TEAM, COLUMNS_2, COLUMNS_4 (columns of a team: 4, 2 or 1), QUADS_2, QUADS_4, QUADS_8 (4 weights each a
//     load), MIXED; those of lib/team_sum.wgsl
//   params: parts (slots a job), share (slots that share a row of x), tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_row.wgsl"
#include "lib/moe_dots.wgsl"
#include "lib/team_sum.wgsl"

const COLUMNS = select(select(1u, 2u, COLUMNS_2), 4u, COLUMNS_4);

struct Words { c0: words_t, c1: words_t, c2: words_t, c3: words_t }
struct Sums { c0: f32, c1: f32, c2: f32, c3: f32, x: f32 }

// Adds quad j of the loads that begin at k.
fn add(sums: ptr<function, Sums>, words: Words, row: u32, k: u32, j: u32) {
  let v = x_quad(row, k + j * 4u);
  (*sums).x += dot(v, vec4(1.0));
  (*sums).c0 = chain(quad(words.c0, j, k), v, (*sums).c0);
#if COLUMNS_2
  (*sums).c1 = chain(quad(words.c1, j, k), v, (*sums).c1);
#endif
#if COLUMNS_4
  (*sums).c2 = chain(quad(words.c2, j, k), v, (*sums).c2);
  (*sums).c3 = chain(quad(words.c3, j, k), v, (*sums).c3);
#endif
}

fn scaled(r: Row, k: u32, dots: f32, x: f32) -> f32 {
  let w = weighing(r, k);
  return w.factor * (dots - w.zero * x);
}

fn share_of(slot: u32) -> f32 {
#if MIXED
  return shares[slot];
#else
  return 1.0;
#endif
}

// The bias of a column, of all experts of the job.
fn whole_bias(job: u32, column: u32) -> f32 {
  var sum = 0.0;
  for (var part = 0u; part < params.parts; part++) {
    let slot = job * params.parts + part;
    let share = share_of(slot);
    if (share != 0.0) { sum += share * bias_of(row_of(experts[slot], column)); }
  }
  return sum;
}

// Writes the result of column `column`, and of the next one where it is gated.
fn finish(job: u32, column: u32, first: f32, second: f32) {
  if (column >= columns()) { return; }
  let v = first + whole_bias(job, column);
#if GATED
  y_put(job * params.n + column / 2u, gate(v, second + whole_bias(job, column + 1u)));
#else
  y_put(job * params.n + column, activate(v));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let job = group_index(group) / params.tiles;
  let lane = tid % TEAM;
  let first = (group_index(group) % params.tiles * (WG / TEAM) + tid / TEAM) * COLUMNS;
  var part = lane / params.runs;
  var run = lane % params.runs;
  var total = Sums();
  while (part < params.parts) {
    let slot = job * params.parts + part;
    let share = share_of(slot);
    if (share != 0.0) {
      let expert = experts[slot];
      let k = run * RUN;
      let r0 = row_of(expert, first);
      var words = Words();
      words.c0 = load(r0, run);
#if COLUMNS_2
      let r1 = row_of(expert, first + 1u);
      words.c1 = load(r1, run);
#endif
#if COLUMNS_4
      let r2 = row_of(expert, first + 2u);
      let r3 = row_of(expert, first + 3u);
      words.c2 = load(r2, run);
      words.c3 = load(r3, run);
#endif
      let row = slot / params.share;
      var sums = Sums();
      add(&sums, words, row, k, 0u);
#if QUADS_2
      add(&sums, words, row, k, 1u);
#endif
#if QUADS_4
      add(&sums, words, row, k, 2u);
      add(&sums, words, row, k, 3u);
#endif
#if QUADS_8
      add(&sums, words, row, k, 4u);
      add(&sums, words, row, k, 5u);
      add(&sums, words, row, k, 6u);
      add(&sums, words, row, k, 7u);
#endif
      total.c0 += share * scaled(r0, k, sums.c0, sums.x);
#if COLUMNS_2
      total.c1 += share * scaled(r1, k, sums.c1, sums.x);
#endif
#if COLUMNS_4
      total.c2 += share * scaled(r2, k, sums.c2, sums.x);
      total.c3 += share * scaled(r3, k, sums.c3, sums.x);
#endif
    }
    run += TEAM;
    while (run >= params.runs) {
      run -= params.runs;
      part++;
    }
  }

  let s0 = team_sum(total.c0, tid);
#if COLUMNS_2
  let s1 = team_sum(total.c1, tid);
#else
  let s1 = 0.0;
#endif
#if COLUMNS_4
  let s2 = team_sum(total.c2, tid);
  let s3 = team_sum(total.c3, tid);
#endif
  if (lane != 0u) { return; }
  finish(job, first, s0, s1);
#if COLUMNS_2
  if (!GATED) { finish(job, first + 1u, s1, 0.0); }
#endif
#if COLUMNS_4
  finish(job, first + 2u, s2, s3);
  if (!GATED) { finish(job, first + 3u, s3, 0.0); }
#endif
}
