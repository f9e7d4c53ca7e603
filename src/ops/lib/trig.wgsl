// Trigonometric functions of one f32, accurate for arguments of any size. Needs lib/math.wgsl with VF = f32.
#include "lib/int64.wgsl"

// The bits of 2 / pi after 32 zeros.
const two_over_pi = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u,
                                  0xfe5163abu);

struct Angle {
  rest: f32,      // in [-pi/4, pi/4]
  quadrant: u32,  // v = rest + quadrant * pi/2 (mod 2 pi)
}
// Payne and Hanek: multiplies the mantissa with those 96 bits of 2/pi that decide the angle, in integers.
fn reduce_angle(v: f32) -> Angle {
  if (abs(v) <= 0.785398163) { return Angle(v, 0u); }
  let bits = bitcast<u32>(v);
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let at = ((bits >> 23u) & 0xffu) - 120u;
  var words = two_over_pi;
  let word = min(at / 32u, 4u);
  let shift = at % 32u;
  let window = vec3<u32>(shl64(W64(words[word + 1u], words[word]), shift).y,
                         shl64(W64(words[word + 2u], words[word + 1u]), shift).y,
                         shl64(W64(words[word + 3u], words[word + 2u]), shift).y);
  var turns = mul_wide(mantissa, window.y);
  turns = add64(turns, W64(mul_wide(mantissa, window.z).y, mantissa * window.x));
  let quadrant = (turns.y + 0x20000000u) >> 30u;
  let rest = f32_of_i64(sub64(turns, W64(0u, quadrant << 30u))) * 3.4061215800e-19;  // pi/2 * 2^-62
  if (v < 0.0) { return Angle(-rest, 0u - quadrant); }
  return Angle(rest, quadrant);
}
fn sin_small(r: f32) -> f32 {
  let z = r * r;
  return r + r * z * (-0.166666666 + z * (0.00833332939 + z * (-0.000198393348 + z * 2.71831163e-6)));
}
fn cos_small(r: f32) -> f32 {
  let z = r * r;
  return 1.0 - 0.5 * z + z * z * (0.0416666666 + z * (-0.00138888838 + z * (2.479952e-5 + z * -2.7210237e-7)));
}
fn no_angle(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f800000u; }

// sin(v + shift * pi/2)
fn sin_shifted(v: f32, shift: u32) -> f32 {
  if (no_angle(v)) { return not_a_number(); }
  let a = reduce_angle(v);
  let q = a.quadrant + shift;
  let y = select(sin_small(a.rest), cos_small(a.rest), (q & 1u) != 0u);
  return select(y, -y, (q & 2u) != 0u);
}
fn sin_(v: f32) -> f32 { return sin_shifted(v, 0u); }
fn cos_(v: f32) -> f32 { return sin_shifted(v, 1u); }
fn tan_(v: f32) -> f32 {
  if (no_angle(v)) { return not_a_number(); }
  let a = reduce_angle(v);
  let s = sin_small(a.rest);
  let c = cos_small(a.rest);
  return select(s / c, -c / s, (a.quadrant & 1u) != 0u);
}

fn atan_(v: f32) -> f32 {
  let t = abs(v);
  var base = 0.0;
  var r = t;
  if (t > 2.41421356) {
    base = 1.57079633;
    r = -1.0 / t;
  } else if (t > 0.414213562) {
    base = 0.785398163;
    r = (t - 1.0) / (t + 1.0);
  }
  let z = r * r;
  let y = base + (r + r * z * (-0.333333076 + z * (0.19998217 + z * (-0.14240083 + z * (0.105734798 + z * -0.0603478978)))));
  return select(with_sign(y, v), v, is_nan(v));
}
fn asin_small(r: f32) -> f32 {
  let z = r * r;
  return r + r * z * (0.166666599 + z * (0.0750051092 + z * (0.0445157196 + z * (0.0318176175 + z * (0.0144025815 +
         z * 0.0375652378)))));
}
// acos of v in [0.5, 1]
fn acos_large(v: f32) -> f32 { return 2.0 * asin_small(sqrt(0.5 * (1.0 - v))); }
fn asin_(v: f32) -> f32 {
  let t = abs(v);
  if (is_nan(v) || t > 1.0) { return not_a_number(); }
  return with_sign(select(asin_small(t), 1.57079633 - acos_large(t), t > 0.5), v);
}
fn acos_(v: f32) -> f32 {
  let t = abs(v);
  if (is_nan(v) || t > 1.0) { return not_a_number(); }
  if (t <= 0.5) { return 1.57079633 - asin_small(v); }
  return select(acos_large(t), 3.14159265 - acos_large(t), v < 0.0);
}
