// Block-quantised weights: q of BITS bits, little end first in u32 words; weight = (q - zero point) * scale of its block.
//   consts: BITS
// A field of BITS bits is moved to the top of an f32 mantissa, so that it reads as 1 + q / 2^BITS without a conversion:
// sum(q * x) = 2^BITS * (sum(field * x) - sum(x)).
const Q_SPAN = f32(1u << BITS);
const Q_SHIFT = 23u - BITS;
const Q_MASK = ((1u << BITS) - 1u) << Q_SHIFT;
const Q_ONE = 0x3f800000u;
const Q_PER_WORD = 32u / BITS;

fn q_field(w: u32, at: u32) -> u32 {
  if (at <= Q_SHIFT) { return ((w << (Q_SHIFT - at)) & Q_MASK) | Q_ONE; }
  return ((w >> (at - Q_SHIFT)) & Q_MASK) | Q_ONE;
}

// Weights `first` to `first + 3` of a word as 1 + q / 2^BITS.
fn q_quad(w: u32, first: u32) -> vec4<f32> {
  let at = first * BITS;
  return bitcast<vec4<f32>>(vec4(q_field(w, at), q_field(w, at + BITS), q_field(w, at + 2u * BITS), q_field(w, at + 3u * BITS)));
}
