// y[o, m, r] = (data[d] - zero point) * scale for d = [o, indices[m], r], zero where the index is out of range. Values
// have BITS bits, low bits of a word first. The scale of value d is that of its block along the blocked axis; zero points
// are laid out like the scales, in rows of `zero_row` values.
//   data, indices (words), scales, zero_points? (words) -> y
//   consts: BITS, SIGNED, ZERO (the default zero point), ZERO_POINTS, INDEX_WORDS
//   params: size, count (of indices), dim (gathered), inner, blocked_dim, blocked_stride, block, blocks, and for zero
//           points scale_row (last axis of the scales), zero_row
#include "lib/wrap_index.wgsl"
const PER_WORD = 32u / BITS;

fn value_of(word: u32, i: u32) -> i32 {
  let shift = i % PER_WORD * BITS;
  if (SIGNED) { return extractBits(bitcast<i32>(word), shift, BITS); }
  return bitcast<i32>(extractBits(word, shift, BITS));
}

fn scale_index(d: u32) -> u32 {
  let line = d / params.blocked_stride;
  let outer = line / params.blocked_dim;
  let block = (line - outer * params.blocked_dim) / params.block;
  return (outer * params.blocks + block) * params.blocked_stride + (d - line * params.blocked_stride);
}

fn zero_of(scale: u32) -> i32 {
#if ZERO_POINTS
  let row = scale / params.scale_row;
  let at = row * params.zero_row + (scale - row * params.scale_row);
  return value_of(zero_points[at / PER_WORD], at);
#else
  return ZERO;
#endif
}

fn y_at(i: u32) -> y_v {
  let row = i / params.inner;
  let outer = row / params.count;
  let index = index_at(row - outer * params.count, params.dim);
  if (index == NO_INDEX) { return 0.0; }
  let d = (outer * params.dim + index) * params.inner + (i - row * params.inner);
  let scale = scale_index(d);
  return f32(value_of(data[d / PER_WORD], d) - zero_of(scale)) * scales_get(scale);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
