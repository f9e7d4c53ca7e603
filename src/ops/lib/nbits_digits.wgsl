// Rows of x, normalised or not, as fixed-point numbers: x = share.x * (256 * high + low [+ third / THIRD]) with digits of 8
// bits and sign. The largest element of a load is 32512, so that two digits keep 16 bits of it, where an f16 has 11;
// DIGITS_3 keeps the 24 of an f32. A unit is 8 elements in the order in which `fields` takes weights apart.
//   consts: SG (subgroup size), UNITS (of a load), CHUNK (loads prepared at a time), ROWS, X4, SKIP, NORM, SUM, DIGITS_3
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

// Elements k .. k + 3 of x + skip; zeros beyond K.
fn x_quad(m: u32, k: u32, writes_sum: bool) -> vec4<f32> {
  var v = vec4<f32>();
  if (k >= params.k) { return v; }
#if X4
  v = vec4<f32>(x[(m * params.k + k) / 4u]);
#if SKIP
  v += vec4<f32>(skip[(m % params.skip_rows * params.k + k) / 4u]);
#endif
#if SUM
  if (writes_sum) { sum[(m * params.k + k) / 4u] = sum_t(v); }
#endif
#else
  for (var i = 0u; i < min(4u, params.k - k); i++) { v[i] = x_get(m * params.k + k + i); }
#endif
  return v;
}

#if NORM
fn norm_quad(k: u32) -> vec4<f32> { return vec4<f32>(norm[min(k, params.k - 4u) / 4u]); }
#endif

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

fn x_unit(m: u32, run: u32, u: u32, writes_sum: bool) -> Unit {
  let k = first_of(run, u);
  let writes = writes_sum && (BITS != 2u || u % 2u == 0u);
  var far = array<vec4<f32>, 2>();
  if (BITS == 2u) { far = array(x_quad(m, k + 8u, writes), x_quad(m, k + 12u, writes)); }
  return unit_of(u, x_quad(m, k, writes), x_quad(m, k + 4u, writes), far[0], far[1]);
}

fn largest(v: Unit) -> u32 {
  let bits = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));  // NaN is above all numbers
  var top = max(max(bits.x, bits.y), max(bits.z, bits.w));
  for (var step = UNITS / 2u; step > 0u; step /= 2u) { top = max(top, subgroupShuffleXor(top, step)); }
  return top;
}

fn lanes_total(value: f32, lanes: u32) -> f32 {
  var v = value;
  for (var step = lanes / 2u; step > 0u; step /= 2u) { v += subgroupShuffleXor(v, step); }
  return v;
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
  for (var r = 0u; r < min(ROWS, params.m - m0); r++) {
    var square = 0.0;
    for (var first = 0u; first < count; first += WG) {
      let inside = first + tid < count;
      let run = min(first + tid, count - 1u) / UNITS;
      let u = tid % UNITS;
      var v = Unit();
      if (inside) { v = x_unit(m0 + r, chunk + run, u, writes_sum); }
#if NORM
      square += dot(v.a, v.a) + dot(v.b, v.b);
      let k = first_of(chunk + run, u);
      var far = array<vec4<f32>, 2>();
      if (BITS == 2u) { far = array(norm_quad(k + 8u), norm_quad(k + 12u)); }
      let g = unit_of(u, norm_quad(k), norm_quad(k + 4u), far[0], far[1]);
      v = Unit(v.a * g.a, v.b * g.b);
#endif
      store_unit(r, run, u, v, inside);
    }
#if NORM
    square = lanes_total(square, SG);
    if (tid % SG == 0u) { squares[r * (WG / SG) + tid / SG] += square; }
#endif
  }
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
