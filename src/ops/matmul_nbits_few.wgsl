// Few rows times block-quantised columns, y = [norm](x) * W^T (+ bias): every weight is read once for ROWS rows, x may be
// the input of an RMS norm (of x + skip), and up to three weights share it. The norm's factor of a row is applied to the
// finished sums, so that no thread waits for it. Columns, rows and octets are written out, because compilers do not unroll
// loops of this size, and what is indexed by a loop leaves the registers.
//   x [m][k], skip?, norm? [k], and weights (lib/nbits_weights.wgsl)
//   ->  y [m][n] (one for each weight; GATED: y = activate(x * W^T) * (x * W1^T)), sum? (x + skip)
//   consts: WG, LANES (a team), WEIGHTS (that share a result), COLUMNS_2, COLUMNS_4 (columns of a team: 4, 2 or 1), ROWS_4 (rows: 4 or 1), OCTETS_2,
//     OCTETS_4 (8 weights each a load: 4, 2 or 1), FOLD (lanes that a subgroup adds up), SUBGROUPS (FOLD > 1)
//   params: m, k, n, n1, blocks, runs (loads a column), row_tiles, tiles, tiles1 (of columns), skip_rows, eps
#include "lib/nbits.wgsl"
#include "lib/nbits_few.wgsl"
#include "lib/nbits_rows.wgsl"

const COLUMNS = select(select(1u, 2u, COLUMNS_2), 4u, COLUMNS_4);
const TEAMS = WG / LANES;
const SUMS = COLUMNS * ROWS;
const SLOTS = SUMS + select(0u, ROWS, NORM);
const PARTS = LANES / FOLD;      // of a team
const RESULTS = SUMS / WEIGHTS;  // of a team

var<workgroup> part: array<f32, TEAMS * PARTS * SLOTS>;

// Where column c of a team lies.
struct Place { matrix: u32, first: u32, count: u32 }
fn source(p: Place, c: u32) -> u32 { return select(p.matrix, c % WEIGHTS, GATED); }
fn column(p: Place, c: u32) -> Column { return column_of(min(p.first + c / WEIGHTS, p.count - 1u), p.count); }

// One value for each of a team's columns.
struct Words { c0: w_t, c1: w_t, c2: w_t, c3: w_t }
struct Scales { c0: f32, c1: f32, c2: f32, c3: f32 }
struct Sums { c0: row_t, c1: row_t, c2: row_t, c3: row_t, x: row_t, square: row_t }

// Adds octet `o` of the load at `run` to the sums.
fn octet(sums: ptr<function, Sums>, words: Words, m0: u32, run: u32, o: u32, writes_sum: bool) {
  let v = activations(m0, run * RUN + o * 8u, writes_sum);
  (*sums).square += v.square;
  (*sums).x += v.sum;
  (*sums).c0 = multiply_add(words.c0, o, v, (*sums).c0);
#if COLUMNS_2
  (*sums).c1 = multiply_add(words.c1, o, v, (*sums).c1);
#endif
#if COLUMNS_4
  (*sums).c2 = multiply_add(words.c2, o, v, (*sums).c2);
  (*sums).c3 = multiply_add(words.c3, o, v, (*sums).c3);
#endif
}

// The sums of a load's fields and of its x, as sums of dequantised weights.
fn scaled(matrix: u32, c: Column, run: u32, scale: f32, dots: row_t, x: row_t) -> row_t {
  return scale * (Q_SPAN * dots - (Q_SPAN + zero_point(matrix, c, run * RUN / BLOCK)) * x);
}

fn put(slot: u32, tid: u32, value: row_t) {
#if ROWS_4
  let v = vec4(fold(value.x), fold(value.y), fold(value.z), fold(value.w));
  if (tid % FOLD == 0u) { for (var r = 0u; r < 4u; r++) { part[tid / FOLD * SLOTS + slot * 4u + r] = v[r]; } }
#else
  let v = fold(value);
  if (tid % FOLD == 0u) { part[tid / FOLD * SLOTS + slot] = v; }
#endif
}

fn team_total(team: u32, slot: u32) -> f32 {
  var v = 0.0;
  for (var i = 0u; i < PARTS; i++) { v += part[(team * PARTS + i) * SLOTS + slot]; }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let m0 = group_index(group) % params.row_tiles * ROWS;
  var tile = group_index(group) / params.row_tiles;
  let writes_sum = tile == 0u && tid < LANES;
  var place = Place(0u, 0u, params.n);
#if TWO
  if (!GATED && tile >= params.tiles) {
    tile -= params.tiles;
    place.matrix = 1u + tile / params.tiles1;
    place.count = params.n1;
    tile %= params.tiles1;
  }
#endif
  place.first = (tile * TEAMS + tid / LANES) * COLUMNS / WEIGHTS;

  let column0 = column(place, 0u);
#if COLUMNS_2
  let column1 = column(place, 1u);
#endif
#if COLUMNS_4
  let column2 = column(place, 2u);
  let column3 = column(place, 3u);
#endif
  var total = Sums();
  for (var run = tid % LANES; run < params.runs; run += LANES) {
    var words = Words();
    var scale = Scales();
    words.c0 = load_words(source(place, 0u), load_at(column0, run));
#if COLUMNS_2
    words.c1 = load_words(source(place, 1u), load_at(column1, run));
#endif
#if COLUMNS_4
    words.c2 = load_words(source(place, 2u), load_at(column2, run));
    words.c3 = load_words(source(place, 3u), load_at(column3, run));
#endif
    let block = run * RUN / BLOCK;
    scale.c0 = load_scale(source(place, 0u), scale_at(column0, block));
#if COLUMNS_2
    scale.c1 = load_scale(source(place, 1u), scale_at(column1, block));
#endif
#if COLUMNS_4
    scale.c2 = load_scale(source(place, 2u), scale_at(column2, block));
    scale.c3 = load_scale(source(place, 3u), scale_at(column3, block));
#endif
    var sums = Sums();
    octet(&sums, words, m0, run, 0u, writes_sum);
#if OCTETS_2
    octet(&sums, words, m0, run, 1u, writes_sum);
#endif
#if OCTETS_4
    octet(&sums, words, m0, run, 2u, writes_sum);
    octet(&sums, words, m0, run, 3u, writes_sum);
#endif
    total.square += sums.square;
    total.c0 += scaled(source(place, 0u), column0, run, scale.c0, sums.c0, sums.x);
#if COLUMNS_2
    total.c1 += scaled(source(place, 1u), column1, run, scale.c1, sums.c1, sums.x);
#endif
#if COLUMNS_4
    total.c2 += scaled(source(place, 2u), column2, run, scale.c2, sums.c2, sums.x);
    total.c3 += scaled(source(place, 3u), column3, run, scale.c3, sums.c3, sums.x);
#endif
  }

  put(0u, tid, total.c0);
#if COLUMNS_2
  put(1u, tid, total.c1);
#endif
#if COLUMNS_4
  put(2u, tid, total.c2);
  put(3u, tid, total.c3);
#endif
#if NORM
  put(COLUMNS, tid, total.square);
#endif
  workgroupBarrier();
  for (var i = tid; i < TEAMS * RESULTS; i += WG) {
    let team = i / RESULTS;
    let r = i % ROWS;
    let c = i % RESULTS / ROWS;
    let n = (tile * TEAMS + team) * COLUMNS / WEIGHTS + c;
    if (n >= place.count || m0 + r >= params.m) { continue; }
    var factor = 1.0;
    if (NORM) { factor = inverseSqrt(team_total(team, SUMS + r) / f32(params.k) + params.eps); }
    let value = factor * team_total(team, c * WEIGHTS * ROWS + r) + load_bias(place.matrix, n);
#if GATED
    let up = factor * team_total(team, (c * WEIGHTS + 1u) * ROWS + r) + load_bias(1u, n);
    store(0u, (m0 + r) * place.count + n, activate(value) * up);
#else
    store(place.matrix, (m0 + r) * place.count + n, value);
#endif
  }
}
