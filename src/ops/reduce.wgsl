// Folds the reduced axes of x; each line is one output and one of `splits` pieces.   x -> y [outputs, splits]
//   consts: lib/lines, KEPT, REDUCED (axes of each kind after merging), map, merge, start, finish (functions),
//           LONG (64-bit integers), VEC (x is read as vectors V4; a line is one contiguous run of them)
//   params: kept, kept_stride, reduced, reduced_stride (sizes and strides), dim (elements of a line, or vectors),
//           piece (of them in one split), splits, lines (outputs * splits), count (elements that a mean divides by)
#include "lib/lines.wgsl"
#include "lib/math.wgsl"
#if LONG
#include "lib/int64.wgsl"
#endif

fn kept_offset(output: u32) -> u32 {
  var rest = output;
  var at = 0u;
  for (var d = KEPT; d > 1u; d--) {
    let next = rest / kept_at(d - 1u);
    at += (rest - next * kept_at(d - 1u)) * kept_stride_at(d - 1u);
    rest = next;
  }
  return at + rest * kept_stride_at(0u);
}
fn reduced_offset(index: u32) -> u32 {
  var rest = index;
  var at = 0u;
  for (var d = REDUCED; d > 1u; d--) {
    let next = rest / reduced_at(d - 1u);
    at += (rest - next * reduced_at(d - 1u)) * reduced_stride_at(d - 1u);
    rest = next;
  }
  return at + rest * reduced_stride_at(0u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group) * LINES + line_in_group(lane);
  let part = part_of_line(lane);
  var acc = start();
  if (line < params.lines) {
    let base = kept_offset(line / params.splits);
    let first = line % params.splits * params.piece;
    let last = min(first + params.piece, params.dim);
    for (var r = first + part; r < last; r += LANES) {
#if VEC
      let v = V4(x[base / 4u + r]);
      acc = merge(merge(acc, map(v.x)), map(v.y));
      acc = merge(merge(acc, map(v.z)), map(v.w));
#else
      acc = merge(acc, map(x_get(base + reduced_offset(r))));
#endif
    }
  }
  acc = fold_line(lane, acc);
  if (part == 0u && line < params.lines) { y_put(line, finish(acc)); }
}
