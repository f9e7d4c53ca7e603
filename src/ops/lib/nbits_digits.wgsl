// Rows of x, normalised or not, as fixed-point numbers: x = share.x * (256 * high + low [+ third / THIRD]) with digits of 8
// bits and sign. The largest element of a load is 32512, so that two digits keep 16 bits of it, where an f16 has 11;
// DIGITS_3 keeps the 24 of an f32. A unit is 8 elements in the order in which `fields` takes weights apart.
//   consts: SG (lanes that shuffles reach), WHOLE (the size of every subgroup), UNITS (of a load), CHUNK (loads prepared at a time), ROWS, X4, SKIP, NORM, SUM, DIGITS_3
const TOP = 32512.0;       // 127 * 256
const ROUND = 12582912.0;  // 1.5 * 2^23: adding it leaves an integer in the low bits, above ROUND_BITS
const ROUND_BITS = 0x4b400000u;
const THIRD = 240.0;
const Q_MASK_BYTES = ((1u << BITS) - 1u) * 0x01010101u;
const Q_BASE = select(0.0, 128.0, BITS == 8u);  // what `fields` subtracts from q

var<workgroup> digits: array<vec4<u32>, ROWS * UNITS * CHUNK>;  // high, high, low, low
var<workgroup> shares: array<vec2<f32>, ROWS * CHUNK>;          // one unit of low, the sum of the load's x
#if DIGITS_3
var<workgroup> thirds: array<vec2<u32>, ROWS * UNITS * CHUNK>;
#endif
#if NORM
var<workgroup> squares: array<f32, ROWS * (WG / SG)>;
#endif

// Unit u of a load: four fields a word.
fn fields(words: w_t, u: u32) -> vec2<u32> {
  if (BITS == 8u) { return vec2(word(words, 2u * u), word(words, 2u * u + 1u)) ^ vec2(0x80808080u); }
  let w = select(word(words, u), word(words, u / 2u) >> (u % 2u * 4u), BITS == 2u);
  return vec2(w, w >> BITS) & vec2(Q_MASK_BYTES);
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
fn largest(v: Unit) -> u32 {
  let bits = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));
  var top = max(max(bits.x, bits.y), max(bits.z, bits.w));
  if (UNITS > 4u) { top = max(top, subgroupShuffleXor(top, 4u)); }
  if (UNITS > 2u) { top = max(top, subgroupShuffleXor(top, 2u)); }
  return max(top, subgroupShuffleXor(top, 1u));
}

// The sum over 2 to 32 neighbouring lanes.
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

// Stores unit u of load `run` of the chunk. All lanes of a subgroup must call it.
fn store_unit(r: u32, run: u32, u: u32, v: Unit, inside: bool) {
  let top = bitcast<f32>(largest(v));
  let scale = select(0.0, TOP / top, top > 1e-30);
  let a = bitcast<vec4<u32>>(v.a * scale + ROUND);
  let b = bitcast<vec4<u32>>(v.b * scale + ROUND);
  let whole = bitcast<vec4<i32>>(a - ROUND_BITS) + bitcast<vec4<i32>>(b - ROUND_BITS);
  var total = f32(whole.x + whole.y + whole.z + whole.w);
  let at = (r * UNITS + u) * CHUNK + run;
#if DIGITS_3
  let rest_a = bitcast<vec4<u32>>((v.a * scale - vec4<f32>(bitcast<vec4<i32>>(a - ROUND_BITS))) * THIRD + ROUND);
  let rest_b = bitcast<vec4<u32>>((v.b * scale - vec4<f32>(bitcast<vec4<i32>>(b - ROUND_BITS))) * THIRD + ROUND);
  let rest = bitcast<vec4<i32>>(rest_a - ROUND_BITS) + bitcast<vec4<i32>>(rest_b - ROUND_BITS);
  total += f32(rest.x + rest.y + rest.z + rest.w) / THIRD;
  if (inside) { thirds[at] = vec2(pack4xU8(rest_a), pack4xU8(rest_b)); }
#endif
  total = lanes_total(total, UNITS);
  if (inside) {
    digits[at] = vec4(pack4xU8((a + 128u) >> vec4(8u)), pack4xU8((b + 128u) >> vec4(8u)), pack4xU8(a), pack4xU8(b));
    if (u == 0u) { shares[r * CHUNK + run] = vec2(top, top * total) / TOP; }
  }
}

// Prepares the rows from m0 for loads `chunk` to chunk + CHUNK - 1.
fn prepare(m0: u32, chunk: u32, tid: u32, writes_sum: bool) {
  let count = min(CHUNK, params.runs - chunk) * UNITS;
  let u = tid % UNITS;
#for r ROWS
  let row$r = min(m0 + $ru, params.m - 1u);
  var square$r = 0.0;
#endfor
  for (var first = 0u; first < count; first += WG) {
    let inside = first + tid < count;
    let run = min(first + tid, count - 1u) / UNITS;
#for r ROWS
    let raw$r = x_unit(row$r, chunk + run, u);
#endfor
#if NORM
    let scale = norm_unit(chunk + run, u);
#for r ROWS
    square$r += select(0.0, dot(raw$r.a, raw$r.a) + dot(raw$r.b, raw$r.b), inside);
    store_unit($ru, run, u, Unit(raw$r.a * scale.a, raw$r.b * scale.b), inside);
#endfor
#else
#for r ROWS
    store_unit($ru, run, u, raw$r, inside);
#endfor
#endif
#if SUM
#for r ROWS
    if (writes_sum && inside && m0 + $ru < params.m) { write_sum(row$r, chunk + run, u, raw$r); }
#endfor
#endif
  }
#if NORM
#for r ROWS
  square$r = lanes_total(square$r, SG);
  if (tid % SG == 0u) { squares[$ru * (WG / SG) + tid / SG] += square$r; }
#endfor
#endif
}

// The RMS norm's factor of row r.
fn norm_factor(r: u32) -> f32 {
#if NORM
  var total = 0.0;
  for (var i = 0u; i < WG / SG; i++) { total += squares[r * (WG / SG) + i]; }
  return inverseSqrt(total / f32(params.k) + params.eps);
#else
  return 1.0;
#endif
}
