// Powers of integers, and the exact remainder of floats. Needs lib/math.wgsl with VF = f32.
#include "lib/int64.wgsl"

// An exponent as i32: beyond its range the nearest value of the same parity, which gives the same power for the bases
// -1, 0 and 1; for others the exact power is out of range anyway.
fn exponent_of_u32(b: u32) -> i32 { return select(bitcast<i32>(b), 0x7ffffffe | bitcast<i32>(b & 1u), b > 0x7fffffffu); }
fn exponent_of_i64(b: W64) -> i32 {
  let low = bitcast<i32>(b.x);
  if (bitcast<i32>(b.y) == (low >> 31u)) { return low; }
  return select(0x7ffffffe, -0x7ffffffe, negative64(b)) | (low & 1);
}
fn exponent_of_u64(b: W64) -> i32 { return select(exponent_of_u32(b.x), 0x7ffffffe | bitcast<i32>(b.x & 1u), b.y != 0u); }
fn exponent_of_f32(b: f32) -> i32 { return i32(clamp(b, -2147483000.0, 2147483000.0)); }
fn is_whole(b: f32) -> bool { return floor(b) == b; }

// Negative exponents truncate 1 / a^|b| to 0 except for the bases 1 and -1.
fn power_i32(a: i32, b: i32) -> i32 {
  if (b < 0 && abs(a) != 1) { return 0; }
  var y = 1;
  var square = a;
  for (var rest = abs(b); rest != 0; rest >>= 1u) {
    if ((rest & 1) != 0) { y *= square; }
    square *= square;
  }
  return y;
}
fn power_i64(a: W64, b: i32) -> W64 {
  if (b < 0 && any(abs64(a) != W64(1u, 0u))) { return W64(0u, 0u); }
  var y = W64(1u, 0u);
  var square = a;
  for (var rest = abs(b); rest != 0; rest >>= 1u) {
    if ((rest & 1) != 0) { y = mul64(y, square); }
    square = mul64(square, square);
  }
  return y;
}
fn power_i32_f32(a: i32, b: f32) -> i32 {
  if (is_whole(b)) { return power_i32(a, exponent_of_f32(b)); }
  return i32(pow_(f32(a), b));
}
fn power_i64_f32(a: W64, b: f32) -> W64 {
  if (is_whole(b)) { return power_i64(a, exponent_of_f32(b)); }
  let y = pow_(f32_of_i64(a), b);
  let magnitude = u64_of_magnitude(y);
  return select(magnitude, neg64(magnitude), y < 0.0);
}

// a - b trunc(a / b), exactly: long division that subtracts b 2^k from the remainder, bit by bit.
fn fmod(a: f32, b: f32) -> f32 {
  let magnitude = abs(b);
  if (is_nan(a) || is_nan(b) || is_inf(a) || b == 0.0) { return not_a_number(); }
  var rest = abs(a);
  if (is_inf(b) || rest < magnitude) { return a; }
  let step = i32(bitcast<u32>(rest) >> 23u) - i32(bitcast<u32>(magnitude) >> 23u);
  for (var k = step; k >= 0; k--) {
    let part = ldexp(magnitude, k);
    if (part <= rest) { rest -= part; }
  }
  return with_sign(rest, a);
}
