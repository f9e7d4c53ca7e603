// Few rows times block-quantised columns, y = [norm](x) * W^T (+ bias): every weight is read once for ROWS rows, x may be
// the input of an RMS norm (of x + skip), and up to three weights share it. The norm's factor of a row is applied to the
// finished sums, so that no thread waits for it.
//   x [m][k], skip?, norm? [k], per weight: w (words) [n][blocks][BLOCK * BITS / 8 bytes], scales [n][blocks], bias?; zeros?
//   ->  y [m][n] (one for each weight; GATED: y = silu(x * W^T) * (x * W1^T)), sum? (x + skip)
//   consts: WG, LANES (a team), COLUMNS, ROWS, UNROLL (loads of a column at a time), FOLD (lanes that a subgroup adds up)
//   params: m, k, n, n1, blocks, runs (loads a column), row_tiles, tiles, tiles1 (of columns), skip_rows, eps
#include "lib/nbits.wgsl"
#include "lib/nbits_few.wgsl"

const TEAMS = WG / LANES;
const SUMS = COLUMNS * ROWS;
const SLOTS = SUMS + select(0u, ROWS, NORM);
const PARTS = LANES / FOLD;      // of a team
const WEIGHTS = select(1u, 2u, GATED);
const RESULTS = SUMS / WEIGHTS;  // of a team

var<workgroup> part: array<f32, TEAMS * PARTS * SLOTS>;

// The sum over FOLD neighbouring lanes.
fn fold(value: f32) -> f32 {
  var v = value;
#if SUBGROUPS
  for (var step = FOLD / 2u; step > 0u; step /= 2u) { v += subgroupShuffleXor(v, step); }
#endif
  return v;
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
  var matrix = 0u;
#if TWO
  if (!GATED && tile >= params.tiles) {
    tile -= params.tiles;
    matrix = 1u + tile / params.tiles1;
    tile %= params.tiles1;
  }
#endif
  let count = select(params.n1, params.n, matrix == 0u);
  let first = (tile * TEAMS + tid / LANES) * (COLUMNS / WEIGHTS);

  var acc = array<f32, SUMS>();
  var squares = array<f32, ROWS>();
  for (var run = tid % LANES; run < params.runs; run += LANES * UNROLL) {
    var words = array<w_t, COLUMNS * UNROLL>();
    var scale = array<f32, COLUMNS * UNROLL>();
    for (var i = 0u; i < COLUMNS * UNROLL; i++) {
      let at = min(run + i / COLUMNS * LANES, params.runs - 1u);
      let column = min(first + i % COLUMNS / WEIGHTS, count - 1u);
      let source = select(matrix, i % WEIGHTS, GATED);
      words[i] = load_words(source, column * params.runs + at);
      scale[i] = load_scale(source, column * params.blocks + at * RUN / BLOCK);
    }
    for (var u = 0u; u < UNROLL; u++) {
      let k0 = (run + u * LANES) * RUN;
      var sums = array<f32, ROWS>();
      var dots = array<f32, SUMS>();
      for (var i = 0u; i < RUN; i += 4u) {
        for (var r = 0u; r < ROWS; r++) {
          let v = activation(m0 + r, k0 + i, writes_sum);
#if NORM
          squares[r] += v.square;
#endif
          sums[r] += dot(v.value, vec4(1.0));
          for (var c = 0u; c < COLUMNS; c++) {
            dots[c * ROWS + r] += dot(q_quad(word(words[u * COLUMNS + c], i / Q_PER_WORD), i % Q_PER_WORD), v.value);
          }
        }
      }
      for (var c = 0u; c < COLUMNS; c++) {
        let zero = Q_SPAN + zero_point(min(first + c / WEIGHTS, count - 1u), min(k0 / BLOCK, params.blocks - 1u));
        for (var r = 0u; r < ROWS; r++) {
          let at = c * ROWS + r;
          acc[at] += scale[u * COLUMNS + c] * (Q_SPAN * dots[at] - zero * sums[r]);
        }
      }
    }
  }

  for (var i = 0u; i < SLOTS; i++) {
    var v = 0.0;
    if (i < SUMS) { v = fold(acc[i]); } else { v = fold(squares[i - SUMS]); }
    if (tid % FOLD == 0u) { part[tid / FOLD * SLOTS + i] = v; }
  }
  workgroupBarrier();
  for (var i = tid; i < TEAMS * RESULTS; i += WG) {
    let team = i / RESULTS;
    let r = i % ROWS;
    let c = i % RESULTS / ROWS;
    let column = (tile * TEAMS + team) * (COLUMNS / WEIGHTS) + c;
    if (column >= count || m0 + r >= params.m) { continue; }
    var factor = 1.0;
    if (NORM) { factor = inverseSqrt(team_total(team, SUMS + r) / f32(params.k) + params.eps); }
    let value = factor * team_total(team, c * WEIGHTS * ROWS + r) + load_bias(matrix, column);
    if (GATED) {
      let up = factor * team_total(team, (c * WEIGHTS + 1u) * ROWS + r) + load_bias(1u, column);
      store(0u, (m0 + r) * count + column, value / (1.0 + exp(-value)) * up);
    } else {
      store(matrix, (m0 + r) * count + column, value);
    }
  }
}
