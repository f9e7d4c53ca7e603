// Conversions of float64, given by its bits as W64 (low, high). Results round to nearest, ties to even.
#include "lib/int64.wgsl"

const SIGN_BIT = 0x80000000u;

// a >> n for 0 < n < 64, rounded.
fn shift_rounded(a: W64, n: u32) -> W64 {
  let q = shr_u64(a, n);
  let rest = shl64(a, 64u - n);
  let half = W64(0u, SIGN_BIT);
  let up = less_u64(half, rest) || (equal64(half, rest) && (q.x & 1u) != 0u);
  return add64(q, W64(select(0u, 1u, up), 0u));
}
fn exponent_of(v: W64) -> i32 { return i32((v.y >> 20u) & 0x7ffu) - 1023; }
fn significand_of(v: W64) -> W64 { return W64(v.x, (v.y & 0xfffffu) | 0x100000u); }

fn f32_of_f64(v: W64) -> f32 {
  let sign = v.y & SIGN_BIT;
  let e = exponent_of(v);
  let fraction = v.x | (v.y & 0xfffffu);
  var bits = 0u;
  if (e == 1024) {
    bits = 0x7f800000u | select(0u, 0x400000u, fraction != 0u);
  } else if (e > 127) {
    bits = 0x7f800000u;
  } else if (e >= -126) {
    bits = shift_rounded(significand_of(v), 29u).x + (u32(e + 126) << 23u);
  } else if (e >= -150) {
    bits = shift_rounded(significand_of(v), u32(-97 - e)).x;
  }
  return bitcast<f32>(sign | bits);
}
fn f64_of_f32(v: f32) -> W64 {
  let bits = bitcast<u32>(v);
  let sign = W64(0u, bits & SIGN_BIT);
  let exponent = (bits >> 23u) & 0xffu;
  var fraction = bits & 0x7fffffu;
  var e = exponent + 896u;
  if (exponent == 255u) { e = 2047u; }
  if (exponent == 0u) {
    if (fraction == 0u) { return sign; }
    let zeros = countLeadingZeros(fraction) - 8u;
    fraction = (fraction << zeros) & 0x7fffffu;
    e = 897u - zeros;
  }
  return sign | W64(fraction << 29u, (fraction >> 3u) | (e << 20u));
}
fn f64_of_u64(a: W64) -> W64 {
  if (all(a == W64(0u, 0u))) { return a; }
  let zeros = leading_zeros64(a);
  return add64(shift_rounded(shl64(a, zeros), 11u), W64(0u, (1085u - zeros) << 20u));
}
fn f64_of_i64(a: W64) -> W64 { return f64_of_u64(abs64(a)) | W64(0u, a.y & SIGN_BIT); }

// The integer part of |v|; 0 from 2^64 on and for NaN.
fn u64_of_f64_magnitude(v: W64) -> W64 {
  let e = exponent_of(v);
  if (e < 0 || e > 63) { return W64(0u, 0u); }
  if (e <= 52) { return shr_u64(significand_of(v), u32(52 - e)); }
  return shl64(significand_of(v), u32(e - 52));
}
// Out of range and NaN: the smallest number, as x86 converts.
fn i64_of_f64(v: W64) -> W64 {
  if (exponent_of(v) > 62) { return W64(0u, SIGN_BIT); }
  let magnitude = u64_of_f64_magnitude(v);
  return select(magnitude, neg64(magnitude), negative64(v));
}
fn i32_of_f64(v: W64) -> i32 {
  let wide = i64_of_f64(v);
  let low = bitcast<i32>(wide.x);
  return select(i32(-0x7fffffff - 1), low, bitcast<i32>(wide.y) == (low >> 31u));
}
fn u64_of_f64(v: W64) -> W64 { return select(u64_of_f64_magnitude(v), i64_of_f64(v), negative64(v)); }
fn bool_of_f64(v: W64) -> bool { return (v.x | (v.y & 0x7fffffffu)) != 0u; }
