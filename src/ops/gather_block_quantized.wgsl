// y[o, m, r] = (data[d] - zero point) * scale for d = [o, indices[m], r], zero where the index is out of range. Values
// have BITS bits, low bits of a word first. The scale of value d is that of its block along the blocked axis; zero
// points are laid out like the scales, in rows of `zero_row` values. Each of data, scales and zero points may be in packed
// order (lib/packed.wgsl), where a row that is gathered is a column.
//   data, indices (words), scales, zero_points? (words) -> y
//   consts: BITS, SIGNED, ZERO (the default zero point), ZERO_POINTS, INDEX_WORDS, PACKED_DATA, PACKED_SCALES, PACKED_ZEROS,
//     LOAD_WORDS (of an element of packed data)
//   params: size, count (of indices), dim (gathered), inner, blocked_dim, blocked_stride, block, blocks, scales (of an
//           index), and for zero points scale_row (last axis of the scales), zero_row, zero_bytes (of an index)
#include "lib/packed.wgsl"
#include "lib/wrap_index.wgsl"
const LOAD = LOAD_WORDS * 32u / BITS;  // values of an element of packed data
const PER_WORD = 32u / BITS;
const PER_BYTE = 8u / BITS;

fn value_of(word: u32, i: u32) -> i32 {
  let shift = i % PER_WORD * BITS;
  if (SIGNED) { return extractBits(bitcast<i32>(word), shift, BITS); }
  return bitcast<i32>(extractBits(word, shift, BITS));
}

// Where element i of a matrix of `rows` elements for each index lies in packed order.
fn packed_from(i: u32, rows: u32) -> u32 { return packed_at(column_of(i / rows, params.dim), i % rows, rows); }

// The zero point of the scale at `scale` among all.
fn zero_of(scale: u32) -> i32 {
#if ZERO_POINTS
  let row = scale / params.scale_row;
  var at = row * params.zero_row + (scale - row * params.scale_row);
  if (PACKED_ZEROS) { at = packed_from(at / PER_BYTE, params.zero_bytes) * PER_BYTE + at % PER_BYTE; }
  return value_of(zero_points[at / PER_WORD], at);
#else
  return ZERO;
#endif
}

// The run of values of one row and one block that the last value lay in: value i of y is value i + run_shift of data, or of
// the column of packed data.
var<private> run_end = 0u;
var<private> run_shift = 0u;
var<private> run_scale = 0.0;
var<private> run_zero = 0;
var<private> run_exists = false;
var<private> run_column = Column();

fn enter_run(i: u32) {
  let row = i / params.inner;
  let outer = row / params.count;
  let within = i - row * params.inner;
  let index = index_at(row - outer * params.count, params.dim);
  run_exists = index != NO_INDEX;
  if (!run_exists) {
    run_end = i + params.inner - within;
    return;
  }
  let d = (outer * params.dim + index) * params.inner + within;
  run_shift = select(d, within, PACKED_DATA) - i;
  run_column = column_of(index, params.dim);
  let line = d / params.blocked_stride;
  let blocked_outer = line / params.blocked_dim;
  let c = line - blocked_outer * params.blocked_dim;
  let block = c / params.block;
  let left = min((block + 1u) * params.block, params.blocked_dim) - c;
  run_end = i + select(1u, min(left, params.inner - within), params.blocked_stride == 1u);
  let scale = (blocked_outer * params.blocks + block) * params.blocked_stride + (d - line * params.blocked_stride);
  run_scale = scales_get(select(scale, packed_from(scale, params.scales), PACKED_SCALES));
  run_zero = zero_of(scale);
}

fn y_at(i: u32) -> y_v {
  if (i >= run_end) { enter_run(i); }
  if (!run_exists) { return 0.0; }
  var d = i + run_shift;
  if (PACKED_DATA) { d = packed_at(run_column, d / LOAD, params.inner / LOAD) * LOAD + d % LOAD; }
  return f32(value_of(data[d / PER_WORD], d) - run_zero) * run_scale;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
