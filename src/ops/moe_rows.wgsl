// A projection for some tokens: each load of a weight serves the up to four slots of a tile, which go to one expert. A
// team of TEAM threads computes COLUMNS columns of them. Columns, rows and quads are written out: what loops index
// leaves the registers.
//   x, weights as in lib/moe_expert.wgsl; order [slots], tiles (expert, first place in order, rows)  ->  y [slots][n]
//   consts: WG, TEAM, COLUMNS_2, COLUMNS_4 (columns of a team: 4, 2 or 1), QUADS_2, QUADS_4, QUADS_8 (4 weights each a
//     load); those of lib/team_sum.wgsl
//   params: share (slots that share a row of x), x_first (its row 0), first (slot of y's first row), row_tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_row.wgsl"
#include "lib/moe_dots.wgsl"
#include "lib/team_sum.wgsl"

const COLUMNS = select(select(1u, 2u, COLUMNS_2), 4u, COLUMNS_4);

struct Words { c0: words_t, c1: words_t, c2: words_t, c3: words_t }
struct Sums { c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>, x: vec4<f32> }  // of four rows

struct Quads { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }

fn chains(w: vec4<f32>, v: Quads, acc: vec4<f32>) -> vec4<f32> {
  return vec4(chain(w, v.r0, acc.x), chain(w, v.r1, acc.y), chain(w, v.r2, acc.z), chain(w, v.r3, acc.w));
}

// Adds quad j of the loads that begin at k.
fn add(sums: ptr<function, Sums>, words: Words, rows: vec4<u32>, k: u32, j: u32) {
  let at = k + j * 4u;
  let v = Quads(x_quad(rows.x, at), x_quad(rows.y, at), x_quad(rows.z, at), x_quad(rows.w, at));
  (*sums).x = chains(vec4(1.0), v, (*sums).x);
  (*sums).c0 = chains(quad(words.c0, j, k), v, (*sums).c0);
#if COLUMNS_2
  (*sums).c1 = chains(quad(words.c1, j, k), v, (*sums).c1);
#endif
#if COLUMNS_4
  (*sums).c2 = chains(quad(words.c2, j, k), v, (*sums).c2);
  (*sums).c3 = chains(quad(words.c3, j, k), v, (*sums).c3);
#endif
}

fn scaled(r: Row, k: u32, dots: vec4<f32>, x: vec4<f32>) -> vec4<f32> {
  let w = weighing(r, k);
  return w.factor * (dots - w.zero * x);
}

fn team_sums(v: vec4<f32>, tid: u32) -> vec4<f32> {
  return vec4(team_sum(v.x, tid), team_sum(v.y, tid), team_sum(v.z, tid), team_sum(v.w, tid));
}

// Writes the results of column `column`, and of the next one where it is gated.
fn finish(tile: vec4<u32>, column: u32, first: vec4<f32>, second: vec4<f32>) {
  if (column >= columns()) { return; }
  let bias = bias_of(row_of(tile.x, column));
  for (var i = 0u; i < tile.z; i++) {
    let at = (order[tile.y + i] - params.first) * params.n;
#if GATED
    y_put(at + column / 2u, gate(first[i] + bias, second[i] + bias_of(row_of(tile.x, column + 1u))));
#else
    y_put(at + column, activate(first[i] + bias));
#endif
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = tiles[group_index(group) % params.row_tiles];
  if (tile.z == 0u) { return; }
  let lane = tid % TEAM;
  let first = (group_index(group) / params.row_tiles * (WG / TEAM) + tid / TEAM) * COLUMNS;
  let places = tile.y + min(vec4(0u, 1u, 2u, 3u), vec4(tile.z - 1u));
  let slots = vec4(order[places.x], order[places.y], order[places.z], order[places.w]);
  let rows = slots / params.share - params.x_first;
  let r0 = row_of(tile.x, first);
#if COLUMNS_2
  let r1 = row_of(tile.x, first + 1u);
#endif
#if COLUMNS_4
  let r2 = row_of(tile.x, first + 2u);
  let r3 = row_of(tile.x, first + 3u);
#endif
  var total = Sums();
  for (var run = lane; run < params.runs; run += TEAM) {
    let k = run * RUN;
    var words = Words();
    words.c0 = load(r0, run);
#if COLUMNS_2
    words.c1 = load(r1, run);
#endif
#if COLUMNS_4
    words.c2 = load(r2, run);
    words.c3 = load(r3, run);
#endif
    var sums = Sums();
    add(&sums, words, rows, k, 0u);
#if QUADS_2
    add(&sums, words, rows, k, 1u);
#endif
#if QUADS_4
    add(&sums, words, rows, k, 2u);
    add(&sums, words, rows, k, 3u);
#endif
#if QUADS_8
    add(&sums, words, rows, k, 4u);
    add(&sums, words, rows, k, 5u);
    add(&sums, words, rows, k, 6u);
    add(&sums, words, rows, k, 7u);
#endif
    total.c0 += scaled(r0, k, sums.c0, sums.x);
#if COLUMNS_2
    total.c1 += scaled(r1, k, sums.c1, sums.x);
#endif
#if COLUMNS_4
    total.c2 += scaled(r2, k, sums.c2, sums.x);
    total.c3 += scaled(r3, k, sums.c3, sums.x);
#endif
  }

  let s0 = team_sums(total.c0, tid);
#if COLUMNS_2
  let s1 = team_sums(total.c1, tid);
#else
  let s1 = vec4<f32>();
#endif
#if COLUMNS_4
  let s2 = team_sums(total.c2, tid);
  let s3 = team_sums(total.c3, tid);
#endif
  if (lane != 0u) { return; }
  finish(tile, first, s0, s1);
#if COLUMNS_2
  if (!GATED) { finish(tile, first + 1u, s1, vec4<f32>()); }
#endif
#if COLUMNS_4
  finish(tile, first + 2u, s2, s3);
  if (!GATED) { finish(tile, first + 3u, s3, vec4<f32>()); }
#endif
}
