// Exact 64-bit integers as vec2<u32> (low, high). Signed values are two's complement; all results wrap modulo 2^64.
// Division follows WGSL's rule for 32 bits: x / 0 = x, x % 0 = 0, and the smallest value / -1 wraps to itself.
alias W64 = vec2<u32>;

fn negative64(a: W64) -> bool { return (a.y >> 31u) != 0u; }
fn i64_of(v: i32) -> W64 { return W64(bitcast<u32>(v), bitcast<u32>(v >> 31u)); }
fn u64_of(v: u32) -> W64 { return W64(v, 0u); }

fn add64(a: W64, b: W64) -> W64 {
  let low = a.x + b.x;
  return W64(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn sub64(a: W64, b: W64) -> W64 { return W64(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn neg64(a: W64) -> W64 { return sub64(W64(0u, 0u), a); }
fn abs64(a: W64) -> W64 { return select(a, neg64(a), negative64(a)); }
fn sign64(a: W64) -> W64 { return select(W64(select(0u, 1u, any(a != W64(0u, 0u))), 0u), W64(~0u, ~0u), negative64(a)); }

// The whole product of two 32-bit numbers.
fn mul_wide(a: u32, b: u32) -> W64 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let cross = vec2<u32>((a & 0xffffu) * (b >> 16u), (a >> 16u) * (b & 0xffffu));
  let middle = (low >> 16u) + (cross.x & 0xffffu) + (cross.y & 0xffffu);
  return W64((low & 0xffffu) | (middle << 16u),
             (a >> 16u) * (b >> 16u) + (cross.x >> 16u) + (cross.y >> 16u) + (middle >> 16u));
}
fn mul64(a: W64, b: W64) -> W64 { return mul_wide(a.x, b.x) + W64(0u, a.x * b.y + a.y * b.x); }

fn equal64(a: W64, b: W64) -> bool { return all(a == b); }
fn less_u64(a: W64, b: W64) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn less_i64(a: W64, b: W64) -> bool { return less_u64(a ^ W64(0u, 0x80000000u), b ^ W64(0u, 0x80000000u)); }
fn min_i64(a: W64, b: W64) -> W64 { return select(a, b, less_i64(b, a)); }
fn max_i64(a: W64, b: W64) -> W64 { return select(a, b, less_i64(a, b)); }
fn min_u64(a: W64, b: W64) -> W64 { return select(a, b, less_u64(b, a)); }
fn max_u64(a: W64, b: W64) -> W64 { return select(a, b, less_u64(a, b)); }

// Shifts by n bits; 64 and more give 0 (or the sign, for shr_i64).
fn shl64(a: W64, n: u32) -> W64 {
  if (n >= 64u) { return W64(0u, 0u); }
  if (n >= 32u) { return W64(0u, a.x << (n - 32u)); }
  if (n == 0u) { return a; }
  return W64(a.x << n, (a.y << n) | (a.x >> (32u - n)));
}
fn shr_u64(a: W64, n: u32) -> W64 {
  if (n >= 64u) { return W64(0u, 0u); }
  if (n >= 32u) { return W64(a.y >> (n - 32u), 0u); }
  if (n == 0u) { return a; }
  return W64((a.x >> n) | (a.y << (32u - n)), a.y >> n);
}
fn shr_i64(a: W64, n: u32) -> W64 {
  let v = shr_u64(select(a, ~a, negative64(a)), n);
  return select(v, ~v, negative64(a));
}
fn leading_zeros64(a: W64) -> u32 { return select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u); }

struct Division64 {
  quotient: W64,
  rest: W64,
}
fn divide_u64(a: W64, b: W64) -> Division64 {
  if (all(b == W64(0u, 0u))) { return Division64(a, W64(0u, 0u)); }
  if (a.y == 0u && b.y == 0u) { return Division64(W64(a.x / b.x, 0u), W64(a.x % b.x, 0u)); }
  var d = Division64(W64(0u, 0u), a);
  if (less_u64(a, b)) { return d; }
  var shift = leading_zeros64(b) - leading_zeros64(a);
  loop {
    let part = shl64(b, shift);
    if (!less_u64(d.rest, part)) {
      d.rest = sub64(d.rest, part);
      d.quotient |= shl64(W64(1u, 0u), shift);
    }
    if (shift == 0u) { break; }
    shift -= 1u;
  }
  return d;
}
fn div_u64(a: W64, b: W64) -> W64 { return divide_u64(a, b).quotient; }
fn rem_u64(a: W64, b: W64) -> W64 { return divide_u64(a, b).rest; }
// Truncates towards zero, as C does.
fn div_i64(a: W64, b: W64) -> W64 {
  let q = divide_u64(abs64(a), abs64(b)).quotient;
  return select(q, neg64(q), negative64(a) != (negative64(b)));
}
// Remainder with the sign of a, as C's %.
fn rem_i64(a: W64, b: W64) -> W64 {
  let r = divide_u64(abs64(a), abs64(b)).rest;
  return select(r, neg64(r), negative64(a));
}
// Remainder with the sign of b, as Python's %.
fn mod_i64(a: W64, b: W64) -> W64 {
  let r = rem_i64(a, b);
  return select(r, add64(r, b), any(r != W64(0u, 0u)) && negative64(r) != negative64(b));
}

// Nearest f32, ties to even.
fn f32_of_u64(a: W64) -> f32 {
  if (all(a == W64(0u, 0u))) { return 0.0; }
  let zeros = leading_zeros64(a);
  let n = shl64(a, zeros);
  let up = (n.y & 0x80u) != 0u && ((n.y & 0x17fu) != 0u || n.x != 0u);
  return bitcast<f32>(((190u - zeros) << 23u) + ((n.y >> 8u) & 0x7fffffu) + select(0u, 1u, up));
}
fn f32_of_i64(a: W64) -> f32 {
  let v = f32_of_u64(abs64(a));
  return select(v, -v, negative64(a));
}

// The integer part of |v| modulo 2^64; 0 for infinities and NaN.
fn u64_of_magnitude(v: f32) -> W64 {
  let bits = bitcast<u32>(v);
  let exponent = (bits >> 23u) & 0xffu;
  if (exponent < 127u || exponent == 255u) { return W64(0u, 0u); }
  let mantissa = W64((bits & 0x7fffffu) | 0x800000u, 0u);
  if (exponent < 150u) { return shr_u64(mantissa, 150u - exponent); }
  return shl64(mantissa, exponent - 150u);
}
