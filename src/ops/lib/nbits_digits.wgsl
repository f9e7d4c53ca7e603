// Rows of x, normalised or not, as fixed-point numbers: x = share.x * (256 * high + low [+ third / THIRD]) with digits of 8
// bits and sign. The largest element of a load is 32512, so that two digits keep 16 bits of it, where an f16 has 11;
// DIGITS_3 keeps the 24 of an f32. A unit is 8 elements in the order in which `fields` takes weights apart.
//   consts: SG (lanes that shuffles reach), WHOLE (the size of every subgroup), UNITS (of a load), CHUNK (loads prepared at
//     a time), ROWS, PREP (units of a chunk a thread), X4, SKIP, NORM, SUM, DIGITS_3; SG divides CHUNK * UNITS
const TOP = 32512.0;       // 127 * 256
const ROUND = 12582912.0;  // 1.5 * 2^23: adding it leaves an integer in the low bits, above ROUND_BITS
const ROUND_BITS = 0x4b400000u;
const THIRD = 240.0;
const Q_BASE = f32(1u << (BITS - 1u));  // what `fields` subtracts from q
const Q_FACTOR = f32(1u << (8u - BITS));  // and multiplies the difference by
const Q_TOP = 8u - BITS;
const Q_MASK_BYTES = (((1u << BITS) - 1u) << Q_TOP) * 0x01010101u;
const UNIT_COUNT = CHUNK * UNITS;  // of a row

var<workgroup> digits: array<vec4<u32>, ROWS * UNITS * CHUNK>;  // high, high, low, low
var<workgroup> shares: array<vec2<f32>, ROWS * CHUNK>;          // one unit of low, the sum of the load's x
#if DIGITS_3
var<workgroup> thirds: array<vec2<u32>, ROWS * UNITS * CHUNK>;
#endif
#if NORM
var<workgroup> squares: array<f32, ROWS * UNIT_COUNT / SG>;
#endif

// Unit u of a load: four fields a word, as bytes with sign.
fn fields(words: w_t, u: u32) -> vec2<u32> {
  if (BITS == 8u) { return vec2(word(words, 2u * u), word(words, 2u * u + 1u)) ^ vec2(0x80808080u); }
  if (BITS == 4u) { return (vec2(word(words, u) << Q_TOP, word(words, u)) & vec2(Q_MASK_BYTES)) ^ vec2(0x80808080u); }
  let w = word(words, u / 2u) << (4u - u % 2u * 4u);
  return (vec2(w << 2u, w) & vec2(Q_MASK_BYTES)) ^ vec2(0x80808080u);
}

struct Digits { x: vec4<u32>, third: vec2<u32> }
struct Dots { high: i32, low: i32, third: i32 }

fn digits_at(r: u32, u: u32, run: u32) -> Digits {
  let at = (r * UNITS + u) * CHUNK + run;
#if DIGITS_3
  return Digits(digits[at], thirds[at]);
#else
  return Digits(digits[at], vec2<u32>());
#endif
}

// acc + the products of a unit's fields and digits.
fn multiply(q: vec2<u32>, d: Digits, acc: Dots) -> Dots {
  var v = acc;
  v.high += dot4I8Packed(q.x, d.x.x);
  v.high += dot4I8Packed(q.y, d.x.y);
  v.low += dot4I8Packed(q.x, d.x.z);
  v.low += dot4I8Packed(q.y, d.x.w);
#if DIGITS_3
  v.third += dot4I8Packed(q.x, d.third.x);
  v.third += dot4I8Packed(q.y, d.third.y);
#endif
  return v;
}

fn total_of(v: Dots) -> f32 { return fma(f32(v.third), 1.0 / THIRD, f32(v.high * 256 + v.low)); }

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

// The elements that go with the first and the second word of a unit's fields.
struct Unit { a: vec4<f32>, b: vec4<f32> }

// Unit u of the load whose elements are quads k / 4, k / 4 + 1, ...
fn unit_of(u: u32, p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>) -> Unit {
  if (BITS == 8u) { return Unit(p, q); }
  if (BITS == 4u) { return Unit(vec4(p.xz, q.xz), vec4(p.yw, q.yw)); }
  if (u % 2u == 0u) { return Unit(vec4(p.x, q.x, r.x, s.x), vec4(p.y, q.y, r.y, s.y)); }
  return Unit(vec4(p.z, q.z, r.z, s.z), vec4(p.w, q.w, r.w, s.w));
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

// The largest of a load's elements, as the bits of its magnitude: NaN is above all numbers.
@diagnostic(off, subgroup_uniformity)
fn largest(v: Unit) -> u32 {
  let bits = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));
  var top = max(max(bits.x, bits.y), max(bits.z, bits.w));
  if (UNITS > 4u) { top = max(top, subgroupShuffleXor(top, 4u)); }
  if (UNITS > 2u) { top = max(top, subgroupShuffleXor(top, 2u)); }
  return max(top, subgroupShuffleXor(top, 1u));
}

// The sum over 2 to 32 neighbouring lanes.
@diagnostic(off, subgroup_uniformity)
fn lanes_total(value: f32, lanes: u32) -> f32 {
#if WHOLE
  if (lanes == SG) { return subgroupAdd(value); }
#endif
  var v = value;
  if (lanes > 16u) { v += subgroupShuffleXor(v, 16u); }
  if (lanes > 8u) { v += subgroupShuffleXor(v, 8u); }
  if (lanes > 4u) { v += subgroupShuffleXor(v, 4u); }
  if (lanes > 2u) { v += subgroupShuffleXor(v, 2u); }
  return v + subgroupShuffleXor(v, 1u);
}

// The elements as numbers of 16 bits with sign and a half added to their low byte, which makes the high byte the nearest.
fn halves_of(v: vec4<f32>, scale: f32) -> vec4<u32> { return bitcast<vec4<u32>>(v * scale + (ROUND + 128.0)); }

// The digits of four such numbers: high, low.
fn digits_of(v: vec4<u32>) -> vec2<u32> {
  let even = (v.x & 0xffffu) | (v.z << 16u);
  let odd = (v.y & 0xffffu) | (v.w << 16u);
  return vec2(((even >> 8u) & 0xff00ffu) | (odd & 0xff00ff00u),
              ((even & 0xff00ffu) | ((odd << 8u) & 0xff00ff00u)) ^ 0x80808080u);
}

#if DIGITS_3
// What rounding left of four numbers, as f32 bits with the digit at the bottom.
fn rest_of(v: vec4<f32>, scale: f32, rounded: vec4<u32>) -> vec4<u32> {
  let left = v * scale - vec4<f32>(bitcast<vec4<i32>>(rounded - (ROUND_BITS + 128u)));
  return bitcast<vec4<u32>>(left * THIRD + ROUND);
}
#endif

fn total4(v: vec4<u32>) -> u32 { return v.x + v.y + v.z + v.w; }

// Stores unit u of load `run` of the chunk. All lanes of a subgroup must call it.
@diagnostic(off, subgroup_uniformity)
fn store_unit(r: u32, run: u32, u: u32, v: Unit, inside: bool) {
  let top = bitcast<f32>(largest(v));
  let scale = select(0.0, TOP / top, top > 1e-30);
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
    let p = digits_of(a);
    let q = digits_of(b);
    digits[at] = vec4(p.x, q.x, p.y, q.y);
    if (u == 0u) { shares[r * CHUNK + run] = vec2(top / (TOP * Q_FACTOR), top * total / TOP); }
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
