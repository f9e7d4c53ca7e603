// The products of a decoder layer behind its attention, for one row and in integers (lib/digits.wgsl):
//   s = x * W^T + skip;  mid = activate(n(s) * W1^T) * (n(s) * W3^T), n the RMS norm;  y = mid * W2^T
// A workgroup is one task: COLUMNS0, 1 or 2 columns of one of the three products, whose threads share K as those of
// matmul_nbits_dot do. Tasks are given out in the order of the products as workgroups start, so that one waits only for what
// workgroups that run already have taken: it ends on every device on which a workgroup that has started goes on, also where
// they run one after the other. A task of 32 columns makes whole loads of the next product's x, and hands on their digits: they
// are computed once, and whoever needs them copies them.
//   x [k0], skip [n0 = k1], norm [k1], w, w1, w2, w3 [n][k] and scales in packed order (lib/packed.wgsl)  ->  y [n2], sum? [n0]
//   exchange: what tasks hand on (lib/exchange.wgsl). Word 0 counts the tasks that are taken; its highest bit tells which of
//     the two buffers this dispatch fills.
//   consts: WG, RUN (weights of a load), BLOCK, UNITS_MAX (of the longest K), PART (sums of a task), SUM, those of lib/digits.wgsl
//     and lib/exchange.wgsl, and for each product COLUMNS, WEIGHTS, DEPTH (loads on their way) and FETCH (units of x a thread)
//   params: k0, k1, k2, n0, n1, n2, tasks0, tasks1, tasks (of all), eps; each k is a multiple of 32, of RUN and of BLOCK
#include "lib/packed.wgsl"
#include "lib/digits.wgsl"
#include "lib/exchange.wgsl"

fn word(v: w_t, i: u32) -> u32 { return v[i]; }

var<workgroup> digits: array<vec4<u32>, UNITS_MAX>;
var<workgroup> shares: array<f32, UNITS_MAX / UNITS>;
var<workgroup> squares: array<f32, WG / SG>;
var<workgroup> part: array<f32, PART>;
var<workgroup> results: array<f32, 32>;
var<workgroup> taken: u32;

struct Load { words: w_t, scale: f32 }

fn load(matrix: u32, c: Column, run: u32, runs: u32) -> Load {
  let at = packed_at(c, run, runs);
  let block = packed_at(c, run * RUN / BLOCK, runs * RUN / BLOCK);
  if (matrix == 0u) { return Load(w[at], scales_get(block)); }
  if (matrix == 1u) { return Load(w1[at], scales1_get(block)); }
  if (matrix == 2u) { return Load(w2[at], scales2_get(block)); }
  return Load(w3[at], scales3_get(block));
}

// Eight neighbouring numbers as a unit.
fn unit8(p: vec4<f32>, q: vec4<f32>) -> Unit { return unit_of(0u, p, q, vec4<f32>(), vec4<f32>()); }

struct Prepared { digits: vec4<u32>, share: f32 }

@diagnostic(off, subgroup_uniformity)
fn prepare(v: Unit) -> Prepared {
  let top = bitcast<f32>(largest(v));
  let scale = scale_to(top);
  return Prepared(unit_digits(halves_of(v.a, scale), halves_of(v.b, scale)), share_of_top(top));
}

// Unit i of the first product's x, or its last one.
fn x_unit(i: u32) -> Unit {
  let at = min(i, params.k0 / 8u - 1u) * 2u;
  return unit8(vec4<f32>(x[at]), vec4<f32>(x[at + 1u]));
}

@diagnostic(off, subgroup_uniformity)
fn store_x(i: u32, v: Unit) {
  let ready = prepare(v);
  if (i >= params.k0 / 8u) { return; }
  digits[i] = ready.digits;
  if (i % UNITS == 0u) { shares[i / UNITS] = ready.share; }
}

// Hands `units` units of results on as x of product p, its units from `first` on; normalised but for the norm's factor where
// that product wants it so. Called by whole subgroups.
@diagnostic(off, subgroup_uniformity)
fn hand_on(p: u32, first: u32, units: u32, tid: u32, buffer: u32) {
  let r = min(tid, units - 1u) * 8u;
  let raw = unit8(vec4(results[r], results[r + 1u], results[r + 2u], results[r + 3u]),
                  vec4(results[r + 4u], results[r + 5u], results[r + 6u], results[r + 7u]));
  let i = first + min(tid, units - 1u);
  var v = raw;
  var square = 0.0;
  if (p == 1u) {
    let scale = unit8(vec4<f32>(norm[i * 2u]), vec4<f32>(norm[i * 2u + 1u]));
    v = Unit(raw.a * scale.a, raw.b * scale.b);
    square = lanes_total(dot(raw.a, raw.a) + dot(raw.b, raw.b), UNITS);
  }
  let ready = prepare(v);
  if (tid >= units) { return; }
  let words = encode_digits(ready.digits);
  let number = encode_number(select(square, ready.share, i % UNITS == 0u));
  let here = buffer_of(p, buffer) + i;
  let there = buffer_of(p, 1u - buffer) + i;
  for (var j = 0u; j < 4u; j++) {
    atomicStore(&exchange[here + j * units_of(p)], words[j]);
    atomicStore(&exchange[there + j * units_of(p)], 0u);
  }
  atomicStore(&exchange[here + 4u * units_of(p)], number);
  atomicStore(&exchange[there + 4u * units_of(p)], 0u);
}

// --- Tasks: columns from tile * COLUMNS on of product 0, 1 or 2. Its first weight is matrix 0, 1 or 2, its second one is 3.

#for p 3
// Brings x into workgroup memory as others hand it on; returns a thread's share of the sum of its squares.
fn receive$p(tid: u32, buffer: u32) -> f32 {
  let units = units_of($pu);
  let first = buffer_of($pu, buffer);
#for f FETCH$p
  var m$f = message_at(first, units, min($fu * WG + tid, units - 1u));
#endfor
  var square = 0.0;
#for f FETCH$p
  {
    let i = $fu * WG + tid;
    for (var looks = 0u; looks < PATIENCE && !is_there(m$f); looks++) { m$f = message_at(first, units, min(i, units - 1u)); }
    if (i < units) {
      digits[i] = decode_digits(m$f.digits);
      if (i % UNITS == 0u) { shares[i / UNITS] = decode_number(m$f.number); }
      if (i % UNITS == 1u) { square += decode_number(m$f.number); }
    }
  }
#endfor
  return square;
}

@diagnostic(off, subgroup_uniformity)
fn task$p(tile: u32, tid: u32, buffer: u32) {
  const SLICES = WG / COLUMNS$p;
  const TEAM = min(SLICES, SG);  // lanes that add the slices of a column
  let runs = params.k$p / RUN;
  let slice = tid / COLUMNS$p;
  let column = column_of(min(tile * COLUMNS$p + tid % COLUMNS$p, params.n$p - 1u), params.n$p);
  let c = min(tid / TEAM, COLUMNS$p - 1u);  // the column to add up
  // Loads come back in the order in which they are asked for, so those of x go first.
  var residual = 0.0;
#for f FETCH$p
  var x$f = Unit();
  if ($pu == 0u) { x$f = x_unit($fu * WG + tid); }
#endfor
  if ($pu == 0u) { residual = f32(skip[tile * COLUMNS$p + c]); }
#for d DEPTH$p
#for l WEIGHTS$p
  var load$d_$l = load($pu + 2u * $lu, column, min($du * SLICES + slice, runs - 1u), runs);
#endfor
#endfor
#for l WEIGHTS$p
  var total$l = 0.0;
#endfor
  var square = 0.0;
  if ($pu == 0u) {
#for f FETCH$p
    store_x($fu * WG + tid, x$f);
#endfor
  } else {
    square = receive$p(tid, buffer);
  }
  workgroupBarrier();
  for (var first = 0u; first < runs; first += SLICES * DEPTH$p) {
    let more = first + SLICES * DEPTH$p < runs;
#for d DEPTH$p
    {
      let want = first + $du * SLICES + slice;
      let run = min(want, runs - 1u);
#for l WEIGHTS$p
      let scale$l = select(0.0, load$d_$l.scale, want < runs);
#for u UNITS
      let fields$l_$u = fields(load$d_$l.words, $uu);
#endfor
      if (more) { load$d_$l = load($pu + 2u * $lu, column, min(want + SLICES * DEPTH$p, runs - 1u), runs); }
#endfor
      let share = shares[run];
#for u UNITS
      let x$u = Digits(digits[run * UNITS + $uu], vec2<u32>());
#endfor
#for l WEIGHTS$p
      {
        var dots = Dots();
#for u UNITS
        dots = multiply(fields$l_$u, x$u, dots);
#endfor
        total$l = fma(scale$l * share, total_of(dots), total$l);
      }
#endfor
    }
#endfor
  }
  if ($pu == 1u) {
    square = lanes_total(square, SG);
    if (tid % SG == 0u) { squares[tid / SG] = square; }
  }
#for l WEIGHTS$p
  part[($lu * SLICES + slice) * (COLUMNS$p + 1u) + tid % COLUMNS$p] = total$l;
#endfor
  workgroupBarrier();
  var factor = 1.0;
  if ($pu == 1u) {
    var total = 0.0;
    for (var i = 0u; i < WG / SG; i++) { total += squares[i]; }
    factor = inverseSqrt(total / f32(params.k1) + params.eps);
  }
  var value = 0.0;
  var last = 0.0;
#for l WEIGHTS$p
  last = 0.0;
  for (var s = tid % TEAM; s < SLICES; s += TEAM) { last += part[($lu * SLICES + s) * (COLUMNS$p + 1u) + c]; }
  last = factor * lanes_total(last, TEAM);
  if ($lu == 0u) { value = last; }
#endfor
  if (tid % TEAM == 0u && tid / TEAM < COLUMNS$p) {
    let n = tile * COLUMNS$p + c;
    if ($pu == 0u) {
      results[c] = value + residual;
#if SUM
      sum_put(n, value + residual);
#endif
    } else if ($pu == 1u) {
      results[c] = activate(value) * last;
    } else if (n < params.n2) {
      y_put(n, value);
    }
  }
  if ($pu < 2u) {
    const COUNT = COLUMNS$p / 8u;
    workgroupBarrier();
    if (tid - tid % SG < COUNT) { hand_on($pu + 1u, tile * COUNT, COUNT, tid, buffer); }
  }
}
#endfor

@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) tid: u32) {
  if (tid == 0u) { taken = atomicAdd(&exchange[0], 1u); }
  let counter = workgroupUniformLoad(&taken);
  let buffer = counter >> 31u;
  let task = counter & 0x7fffffffu;
  if (task == params.tasks - 1u && tid == 0u) { atomicStore(&exchange[0], (1u - buffer) << 31u); }
  if (task < params.tasks0) {
    task0(task, tid, buffer);
  } else if (task < params.tasks0 + params.tasks1) {
    task1(task - params.tasks0, tid, buffer);
  } else {
    task2(task - params.tasks0 - params.tasks1, tid, buffer);
  }
}
