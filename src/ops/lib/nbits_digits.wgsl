// Rows of x, normalised or not, in digits (lib/digits.wgsl).
//   consts: CHUNK (loads prepared at a time), ROWS, PREP (units of a chunk a thread), X4, SKIP, NORM, SUM, and those of
//     lib/digits.wgsl; SG divides CHUNK * UNITS
#include "lib/digits.wgsl"

const UNIT_COUNT = CHUNK * UNITS;  // of a row

var<workgroup> digits: array<vec4<u32>, ROWS * UNITS * CHUNK>;  // high, high, low, low
var<workgroup> shares: array<vec2<f32>, ROWS * CHUNK>;          // one unit of low, the sum of the load's x
#if DIGITS_3
var<workgroup> thirds: array<vec2<u32>, ROWS * UNITS * CHUNK>;
#endif
#if NORM
var<workgroup> squares: array<f32, ROWS * UNIT_COUNT / SG>;
#endif

fn digits_at(r: u32, u: u32, run: u32) -> Digits {
  let at = (r * UNITS + u) * CHUNK + run;
#if DIGITS_3
  return Digits(digits[at], thirds[at]);
#else
  return Digits(digits[at], vec2<u32>());
#endif
}

// Elements k .. k + 3 of x + skip; zeros beyond K. Loads stand outside of branches, to be on their way together.
fn x_quad(m: u32, k: u32) -> vec4<f32> {
  var v = vec4<f32>();
#if X4
  let last = min(k, params.k - 4u);
  v = vec4<f32>(x[(m * params.k + last) / 4u]);
#if SKIP
  var row = m;
  if (row >= params.skip_rows) { row %= params.skip_rows; }  // a division would delay every first load
  v += vec4<f32>(skip[(row * params.k + last) / 4u]);
#endif
  v = select(vec4<f32>(), v, vec4(k < params.k));
#else
  for (var i = 0u; i < 4u; i++) { if (k + i < params.k) { v[i] = x_get(m * params.k + k + i); } }
#endif
  return v;
}

fn first_of(run: u32, u: u32) -> u32 { return run * RUN + select(u * 8u, u / 2u * 16u, BITS == 2u); }

// Unit u of a load of row m, before the norm.
fn x_unit(m: u32, run: u32, u: u32) -> Unit {
  let k = first_of(run, u);
  if (BITS == 2u) { return unit_of(u, x_quad(m, k), x_quad(m, k + 4u), x_quad(m, k + 8u), x_quad(m, k + 12u)); }
  return unit_of(u, x_quad(m, k), x_quad(m, k + 4u), vec4<f32>(), vec4<f32>());
}

#if NORM
fn norm_quad(k: u32) -> vec4<f32> { return vec4<f32>(norm[min(k, params.k - 4u) / 4u]); }

fn norm_unit(run: u32, u: u32) -> Unit {
  let k = first_of(run, u);
  if (BITS == 2u) { return unit_of(u, norm_quad(k), norm_quad(k + 4u), norm_quad(k + 8u), norm_quad(k + 12u)); }
  return unit_of(u, norm_quad(k), norm_quad(k + 4u), vec4<f32>(), vec4<f32>());
}
#endif

#if SUM
// Writes x + skip of unit u, which is v.
fn write_sum(m: u32, run: u32, u: u32, v: Unit) {
  let at = (m * params.k + first_of(run, u)) / 4u;
  let quads = (params.k - min(first_of(run, u), params.k)) / 4u;
  if (BITS == 2u) {
    for (var i = u % 2u * 2u; i < min(u % 2u * 2u + 2u, quads); i++) { sum[at + i] = sum_t(x_quad(m, first_of(run, u) + 4u * i)); }
    return;
  }
  if (quads > 0u) { sum[at] = sum_t(select(vec4(v.a.x, v.b.x, v.a.y, v.b.y), v.a, BITS == 8u)); }
  if (quads > 1u) { sum[at + 1u] = sum_t(select(vec4(v.a.z, v.b.z, v.a.w, v.b.w), v.b, BITS == 8u)); }
}
#endif

// Stores unit u of load `run` of the chunk. All lanes of a subgroup must call it.
@diagnostic(off, subgroup_uniformity)
fn store_unit(r: u32, run: u32, u: u32, v: Unit, inside: bool) {
  let top = bitcast<f32>(largest(v));
  let scale = scale_to(top);
  let a = halves_of(v.a, scale);
  let b = halves_of(v.b, scale);
  var total = f32(bitcast<i32>(total4(a + b) - 8u * (ROUND_BITS + 128u)));
  let at = (r * UNITS + u) * CHUNK + run;
#if DIGITS_3
  let rest_a = rest_of(v.a, scale, a);
  let rest_b = rest_of(v.b, scale, b);
  total += f32(bitcast<i32>(total4(rest_a + rest_b) - 8u * ROUND_BITS)) / THIRD;
  if (inside) { thirds[at] = vec2(pack4xU8(rest_a), pack4xU8(rest_b)); }
#endif
  total = lanes_total(total, UNITS);
  if (inside) {
    digits[at] = unit_digits(a, b);
    if (u == 0u) { shares[r * CHUNK + run] = vec2(share_of_top(top), top * total / TOP); }
  }
}

// What thread tid has of the rows from m0 and the loads from `chunk` on: unit p of PREP, among those of CHUNK loads.
fn unit_index(p: u32, tid: u32) -> u32 { return min(p * WG + tid, ROWS * UNIT_COUNT - 1u); }
fn row_of_unit(m0: u32, i: u32) -> u32 { return min(m0 + i / UNIT_COUNT, params.m - 1u); }
fn run_of_unit(i: u32) -> u32 { return i % UNIT_COUNT / UNITS; }

fn fetch_x(m0: u32, chunk: u32, p: u32, tid: u32) -> Unit {
  let i = unit_index(p, tid);
  return x_unit(row_of_unit(m0, i), chunk + run_of_unit(i), tid % UNITS);
}

fn fetch_norm(chunk: u32, p: u32, tid: u32) -> Unit {
#if NORM
  return norm_unit(chunk + run_of_unit(unit_index(p, tid)), tid % UNITS);
#else
  return Unit();
#endif
}

// Turns what was fetched into digits; returns the sum of its squares. Subgroups without a unit leave as a whole.
@diagnostic(off, subgroup_uniformity)
fn store_x(m0: u32, chunk: u32, p: u32, tid: u32, raw: Unit, norm: Unit, writes_sum: bool) -> f32 {
  if ((p + 1u) * WG > ROWS * UNIT_COUNT && p * WG + tid - tid % SG >= ROWS * UNIT_COUNT) { return 0.0; }
  let i = unit_index(p, tid);
  let r = i / UNIT_COUNT;
  let inside = p * WG + tid < ROWS * UNIT_COUNT;
  var x = raw;
  if (NORM) { x = Unit(raw.a * norm.a, raw.b * norm.b); }
  store_unit(r, run_of_unit(i), tid % UNITS, x, inside);
#if SUM
  if (writes_sum && inside && m0 + r < params.m) { write_sum(row_of_unit(m0, i), chunk + run_of_unit(i), tid % UNITS, raw); }
#endif
  return dot(raw.a, raw.a) + dot(raw.b, raw.b);
}

// Keeps the sum of the squares of a thread's unit p of all chunks, for norm_factor.
fn store_square(p: u32, tid: u32, square: f32) {
#if NORM
  let total = lanes_total(square, SG);
  if (tid % SG == 0u && p * WG + tid < ROWS * UNIT_COUNT) { squares[(p * WG + tid) / SG] = total; }
#endif
}

// The RMS norm's factor of row r.
fn norm_factor(r: u32) -> f32 {
#if NORM
  var total = 0.0;
  for (var i = 0u; i < UNIT_COUNT / SG; i++) { total += squares[r * (UNIT_COUNT / SG) + i]; }
  return inverseSqrt(total / f32(params.k) + params.eps);
#else
  return 1.0;
#endif
}
