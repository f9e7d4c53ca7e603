// Few rows times block-quantised columns in integers: y = [norm](x) * W^T (+ bias). A workgroup turns x into digits of 8
// bits once (lib/nbits_digits.wgsl); packed products of four fields and four digits then give sums without a rounding, one
// factor a load. A team of LANES threads takes COLUMNS columns for ROWS rows, each weight is read once, and the next load
// is on its way while one is multiplied, the first while x is prepared.
//   x [m][k], skip?, norm? [k], and weights (lib/nbits_weights.wgsl)
//   ->  y [m][n] (one for each weight; GATED: y = activate(x * W^T) * (x * W1^T)), sum? (x + skip)
//   consts: WG, LANES, COLUMNS, ROWS, UNITS (of a load), CHUNK (loads that x is prepared for at a time), SG
//     (lanes that shuffles reach), WHOLE (the size of every subgroup), ROW_TILES
//   params: m, k, n, n1, blocks, runs (loads a column), tiles, tiles1 (of columns), skip_rows, eps
#include "lib/nbits.wgsl"
#include "lib/nbits_few.wgsl"
#include "lib/nbits_digits.wgsl"

const TEAMS = WG / LANES;
const SUMS = COLUMNS * ROWS;
const FOLD = min(LANES, SG);  // lanes that shuffles add up
const PARTS = LANES / FOLD;   // of a team
const RESULTS = SUMS / WEIGHTS;  // of a team

var<workgroup> part: array<f32, TEAMS * PARTS * SUMS>;

struct Load { words: w_t, scale: f32, zero: f32 }

fn load(matrix: u32, c: Column, run: u32) -> Load {
  let block = run * RUN / BLOCK;
  return Load(load_words(matrix, load_at(c, run)), load_scale(matrix, scale_at(c, block)),
              zero_point(matrix, c, block) - Q_BASE);
}

fn team_total(team: u32, slot: u32) -> f32 {
  var v = 0.0;
  for (var i = 0u; i < PARTS; i++) { v += part[(team * PARTS + i) * SUMS + slot]; }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let m0 = group_index(group) % ROW_TILES * ROWS;
  var tile = group_index(group) / ROW_TILES;
  let writes_sum = tile == 0u;
  var place = Place(0u, 0u, params.n);
#if TWO
  if (!GATED && tile >= params.tiles) {
    tile -= params.tiles;
    place = Place(1u, 0u, params.n1);
#if THREE
    if (tile >= params.tiles1) {
      tile -= params.tiles1;
      place.matrix = 2u;
    }
#endif
  }
#endif
  place.first = (tile * TEAMS + tid / LANES) * COLUMNS / WEIGHTS;
  let lane = tid % LANES;

#for c COLUMNS
  let matrix$c = source(place, $cu);
  let column$c = column(place, $cu);
  var load$c = load(matrix$c, column$c, min(lane, params.runs - 1u));
#for r ROWS
  var total$c_$r = 0.0;
#endfor
#endfor
  for (var first = 0u; first < params.runs; first += LANES) {
    if (first % CHUNK == 0u) {
      if (first > 0u) { workgroupBarrier(); }
      prepare(m0, first, tid, writes_sum);
      workgroupBarrier();
    }
    let run = min(first + lane, params.runs - 1u);
    let next = min(run + LANES, params.runs - 1u);
#for c COLUMNS
    let next$c = load(matrix$c, column$c, next);
#for u UNITS
    let fields$c_$u = fields(load$c.words, $uu);
#endfor
    let scale$c = select(0.0, load$c.scale, first + lane < params.runs);
#endfor
#for r ROWS
    {
      let share = shares[$ru * CHUNK + run % CHUNK];
#for u UNITS
      let x$u = digits_at($ru, $uu, run % CHUNK);
#endfor
#for c COLUMNS
      var dots$c = Dots();
#for u UNITS
      dots$c = multiply(fields$c_$u, x$u, dots$c);
#endfor
      total$c_$r = fma(scale$c, fma(share.x, total_of(dots$c), -load$c.zero * share.y), total$c_$r);
#endfor
    }
#endfor
#for c COLUMNS
    load$c = next$c;
#endfor
  }

#for c COLUMNS
#for r ROWS
  {
    let v = lanes_total(total$c_$r, FOLD);
    if (tid % FOLD == 0u) { part[tid / FOLD * SUMS + $cu * ROWS + $ru] = v; }
  }
#endfor
#endfor
  workgroupBarrier();
  for (var i = tid; i < TEAMS * RESULTS; i += WG) {
    let team = i / RESULTS;
    let r = i % ROWS;
    let c = i % RESULTS / ROWS;
    let n = (tile * TEAMS + team) * COLUMNS / WEIGHTS + c;
    if (n >= place.count || m0 + r >= params.m) { continue; }
    let factor = norm_factor(r);
    let value = factor * team_total(team, c * WEIGHTS * ROWS + r) + load_bias(place.matrix, n);
#if GATED
    let up = factor * team_total(team, (c * WEIGHTS + 1u) * ROWS + r) + load_bias(1u, n);
    store(0u, (m0 + r) * place.count + n, activate(value) * up);
#else
    store(place.matrix, (m0 + r) * place.count + n, value);
#endif
  }
}
