// Few rows times block-quantised columns in integers: y = [norm](x) * W^T (+ bias). A workgroup turns x into digits of 8
// bits once (lib/nbits_digits.wgsl); packed products of four fields and four digits then give sums without a rounding, one
// factor a load. A workgroup takes COLUMNS columns and splits K into slices: neighbouring threads have neighbouring columns
// of one slice, so that their loads are neighbours and they read the same digits. A thread has DEPTH loads on their way, the
// first while x is prepared, which is asked for before them, and takes each apart once for all rows.
//   x [m][k], skip?, norm? [k], and weights (lib/nbits_weights.wgsl)
//   ->  y [m][n] (one for each weight; GATED: y = activate(x * W^T) * (x * W1^T)), sum? (x + skip)
//   consts: WG, COLUMNS, ROWS, WEIGHTS (that share a result), DEPTH, PASS (rows whose slices are added at a time),
//     ROW_TILES, those of lib/nbits_digits.wgsl; COLUMNS divides WG, and WG / COLUMNS * DEPTH divides CHUNK
//   params: m, k, n, n1, blocks, runs (loads a column), tiles, tiles1 (of columns), skip_rows, eps
#include "lib/nbits.wgsl"
#include "lib/nbits_few.wgsl"
#include "lib/nbits_digits.wgsl"

const SLICES = WG / COLUMNS;
const SPLIT = min(max(SG / COLUMNS, 1u), SLICES);  // lanes that add the slices of a result

var<workgroup> part: array<f32, WG * WEIGHTS * PASS>;

struct Load { words: w_t, scale: f32, zero: f32 }

fn load(matrix: u32, c: Column, run: u32) -> Load {
  let block = run * RUN / BLOCK;
  return Load(load_words(matrix, load_at(c, run)), load_scale(matrix, scale_at(c, block)),
              zero_point(matrix, c, block) - Q_BASE);
}

// The products of a load with a row, before the scale.
fn product(v: Load, share: vec2<f32>, dots: Dots) -> f32 {
  let sum = share.x * total_of(dots);
  if (ZEROS_U8 || ZEROS_T) { return fma(-v.zero, share.y, sum); }
  return sum;
}

// The sum over slices of the value at `at`; SPLIT lanes call it together.
fn slices_total(at: u32, lane: u32) -> f32 {
  var v = vec2<f32>();
  for (var s = 0u; s < SLICES / SPLIT; s += 2u) {
    v.x += part[at + (s * SPLIT + lane) * COLUMNS];
    if (s + 1u < SLICES / SPLIT) { v.y += part[at + ((s + 1u) * SPLIT + lane) * COLUMNS]; }
  }
  if (SPLIT == 1u) { return v.x + v.y; }
  return lanes_total(v.x + v.y, SPLIT);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let m0 = group_index(group) % ROW_TILES * ROWS;
  var tile = group_index(group) / ROW_TILES;
  let writes_sum = tile == 0u;
  var matrix = 0u;
  var columns = params.n;
#if TWO
  if (!GATED && tile >= params.tiles) {
    tile -= params.tiles;
    matrix = 1u;
    columns = params.n1;
#if THREE
    if (tile >= params.tiles1) {
      tile -= params.tiles1;
      matrix = 2u;
    }
#endif
  }
#endif
  let column = column_of(min(tile * COLUMNS + tid % COLUMNS, columns - 1u), columns);
  let slice = tid / COLUMNS;

#for p PREP
  let raw$p = fetch_x(m0, 0u, $pu, tid);
  let norm$p = fetch_norm(0u, $pu, tid);
#endfor
#for d DEPTH
#for w WEIGHTS
  var load$d_$w = load(matrix + $wu, column, min($du * SLICES + slice, params.runs - 1u));
#endfor
#endfor
#for w WEIGHTS
#for r ROWS
  var total$w_$r = 0.0;
#endfor
#endfor
#for p PREP
  var square$p = store_x(m0, 0u, $pu, tid, raw$p, norm$p, writes_sum);
#endfor
  workgroupBarrier();
  for (var first = 0u; first < params.runs; first += SLICES * DEPTH) {
    if (first % CHUNK == 0u && first > 0u) {
      workgroupBarrier();
#for p PREP
      let x$p = fetch_x(m0, first, $pu, tid);
      let factors$p = fetch_norm(first, $pu, tid);
#endfor
#for p PREP
      square$p += store_x(m0, first, $pu, tid, x$p, factors$p, writes_sum);
#endfor
      workgroupBarrier();
    }
    let more = first + SLICES * DEPTH < params.runs;
#for d DEPTH
    {
      let run = first + $du * SLICES + slice;
      let at = min(run, params.runs - 1u) % CHUNK;
#for w WEIGHTS
      let now$w = load$d_$w;
      let scale$w = select(0.0, now$w.scale, run < params.runs);
#for u UNITS
      let fields$w_$u = fields(now$w.words, $uu);
#endfor
      if (more) { load$d_$w = load(matrix + $wu, column, min(run + SLICES * DEPTH, params.runs - 1u)); }
#endfor
#for r ROWS
      {
        let share = shares[$ru * CHUNK + at];
#for u UNITS
        let x$u = digits_at($ru, $uu, at);
#endfor
#for w WEIGHTS
        var dots$w = Dots();
#for u UNITS
        dots$w = multiply(fields$w_$u, x$u, dots$w);
#endfor
        total$w_$r = fma(scale$w, product(now$w, share, dots$w), total$w_$r);
#endfor
      }
#endfor
    }
#endfor
  }

#for p PREP
  store_square($pu, tid, square$p);
#endfor
#for r ROWS
#for w WEIGHTS
  part[($ru % PASS * WEIGHTS + $wu) * WG + tid] = total$w_$r;
#endfor
  if ($ru % PASS == PASS - 1u) {
    workgroupBarrier();
    for (var first = 0u; first < COLUMNS * PASS * SPLIT; first += WG) {
      let i = min((first + tid) / SPLIT, COLUMNS * PASS - 1u);
      let r = i / COLUMNS + $ru / PASS * PASS;
      let n = tile * COLUMNS + i % COLUMNS;
      let at = i / COLUMNS * WEIGHTS * WG + i % COLUMNS;
      let factor = norm_factor(r);
      let value = factor * slices_total(at, tid % SPLIT);
#if GATED
      let up = factor * slices_total(at + WG, tid % SPLIT);
#endif
      if (n < columns && m0 + r < params.m && first + tid < COLUMNS * PASS * SPLIT && tid % SPLIT == 0u) {
        let v = value + load_bias(matrix, n);
#if GATED
        store(0u, (m0 + r) * columns + n, activate(v) * (up + load_bias(1u, n)));
#else
        store(matrix, (m0 + r) * columns + n, v);
#endif
      }
    }
    if ($ru < ROWS - 1u) { workgroupBarrier(); }
  }
#endfor
}
