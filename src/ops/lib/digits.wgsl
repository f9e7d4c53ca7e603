// Numbers of a load as fixed point: share * (256 * high + low [+ third / THIRD]) with digits of 8 bits and sign, and products
// of them and of the fields of weights. The largest element of a load is 32512, so that two digits keep 16 bits of it, where
// an f16 has 11; DIGITS_3 keeps the 24 of an f32. A unit is 8 elements in the order in which `fields` takes weights apart.
//   fn word(words: w_t, i: u32) -> u32
//   consts: BITS, UNITS (of a load), SG (lanes that shuffles reach), WHOLE (the size of every subgroup), DIGITS_3
const TOP = 32512.0;       // 127 * 256
const ROUND = 12582912.0;  // 1.5 * 2^23: adding it leaves an integer in the low bits, above ROUND_BITS
const ROUND_BITS = 0x4b400000u;
const THIRD = 240.0;
const Q_BASE = f32(1u << (BITS - 1u));  // what `fields` subtracts from q
const Q_FACTOR = f32(1u << (8u - BITS));  // and multiplies the difference by
const Q_TOP = 8u - BITS;
const Q_MASK_BYTES = (((1u << BITS) - 1u) << Q_TOP) * 0x01010101u;

// Unit u of a load: four fields a word, as bytes with sign.
fn fields(words: w_t, u: u32) -> vec2<u32> {
  if (BITS == 8u) { return vec2(word(words, 2u * u), word(words, 2u * u + 1u)) ^ vec2(0x80808080u); }
  if (BITS == 4u) { return (vec2(word(words, u) << Q_TOP, word(words, u)) & vec2(Q_MASK_BYTES)) ^ vec2(0x80808080u); }
  let w = word(words, u / 2u) << (4u - u % 2u * 4u);
  return (vec2(w << 2u, w) & vec2(Q_MASK_BYTES)) ^ vec2(0x80808080u);
}

struct Digits { x: vec4<u32>, third: vec2<u32> }
struct Dots { high: i32, low: i32, third: i32 }

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

// The elements that go with the first and the second word of a unit's fields.
struct Unit { a: vec4<f32>, b: vec4<f32> }

// Unit u of the load whose elements are quads k / 4, k / 4 + 1, ...
fn unit_of(u: u32, p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>) -> Unit {
  if (BITS == 8u) { return Unit(p, q); }
  if (BITS == 4u) { return Unit(vec4(p.xz, q.xz), vec4(p.yw, q.yw)); }
  if (u % 2u == 0u) { return Unit(vec4(p.x, q.x, r.x, s.x), vec4(p.y, q.y, r.y, s.y)); }
  return Unit(vec4(p.z, q.z, r.z, s.z), vec4(p.w, q.w, r.w, s.w));
}

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

// A unit of two such: high, high, low, low.
fn unit_digits(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
  let p = digits_of(a);
  let q = digits_of(b);
  return vec4(p.x, q.x, p.y, q.y);
}

// What the elements of a load whose largest is `top` are multiplied by, and the share of their products with fields.
fn scale_to(top: f32) -> f32 { return select(0.0, TOP / top, top > 1e-30); }
fn share_of_top(top: f32) -> f32 { return top / (TOP * Q_FACTOR); }

#if DIGITS_3
// What rounding left of four numbers, as f32 bits with the digit at the bottom.
fn rest_of(v: vec4<f32>, scale: f32, rounded: vec4<u32>) -> vec4<u32> {
  let left = v * scale - vec4<f32>(bitcast<vec4<i32>>(rounded - (ROUND_BITS + 128u)));
  return bitcast<vec4<u32>>(left * THIRD + ROUND);
}
#endif

fn total4(v: vec4<u32>) -> u32 { return v.x + v.y + v.z + v.w; }
