// Softmax, LogSoftmax or Hardmax along lines of `dim` elements, `stride` apart.   x -> y
//   consts: lib/lines, HARD (1 at the first maximum, 0 elsewhere), LOG (the logarithm of the result),
//           VEC (x and y are vectors and lines contiguous; not with HARD), VF (f32, or a vector with VEC), VU, VI, VB
//   params: dim (elements of a line, or vectors), stride, lines
alias A = vec2<f32>;  // (maximum, sum of exp(x - maximum)), or (maximum, its position) with HARD
#include "lib/lines.wgsl"
#include "lib/math.wgsl"

// exp(v - top); equal values may be infinite.
fn weight(v: VF, top: VF) -> VF { return select(exp_(v - top), VF(1.0), v == top); }

#if VEC
fn merge(a: A, b: A) -> A {
  let top = max(a.x, b.x);
  let w = weight(VF(a.x, b.x, top, top), VF(top));
  return A(top, a.y * w.x + b.y * w.y);
}
fn part_of(base: u32, part: u32, dim: u32) -> A {
  var top = VF(-infinity());
  var sum = VF(0.0);
  for (var i = part; i < dim; i += LANES) {
    let v = VF(x[base + i]);
    let next = max(top, v);
    sum = sum * weight(top, next) + weight(v, next);
    top = next;
  }
  let all = max(max(top.x, top.y), max(top.z, top.w));
  return A(all, dot(sum, weight(top, VF(all))));
}
fn log_sum_of(total: A) -> f32 { return log_(VF(total.y)).x; }
fn write(at: u32, i: u32, total: A, log_sum: f32) {
  let v = VF(x[at]) - total.x;
  if (LOG) {
    y[at] = y_t(v - log_sum);
  } else {
    y[at] = y_t(exp_(v) / total.y);
  }
}
#else
fn merge(a: A, b: A) -> A {
  if (HARD) {
    let later = bitcast<u32>(b.y) > bitcast<u32>(a.y);
    return select(b, a, a.x > b.x || (a.x == b.x && later));
  }
  let top = max(a.x, b.x);
  return A(top, a.y * weight(a.x, top) + b.y * weight(b.x, top));
}
fn part_of(base: u32, part: u32, dim: u32) -> A {
  var acc = A(-infinity(), 0.0);
  if (HARD) { acc.y = bitcast<f32>(params.dim); }
  for (var i = part; i < dim; i += LANES) {
    acc = merge(acc, A(x_get(base + i * params.stride), select(1.0, bitcast<f32>(i), HARD)));
  }
  return acc;
}
fn log_sum_of(total: A) -> f32 { return log_(total.y); }
fn write(at: u32, i: u32, total: A, log_sum: f32) {
  let v = x_get(at) - total.x;
  if (HARD) {
    y_put(at, select(0.0, 1.0, i == bitcast<u32>(total.y)));
  } else if (LOG) {
    y_put(at, v - log_sum);
  } else {
    y_put(at, exp_(v) / total.y);
  }
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group) * LINES + line_in_group(lane);
  let part = part_of_line(lane);
  let base = line / params.stride * params.stride * params.dim + line % params.stride;
  let dim = select(0u, params.dim, line < params.lines);
  let total = fold_line(lane, part_of(base, part, dim));
  let log_sum = log_sum_of(total);
  for (var i = part; i < dim; i += LANES) { write(base + i * params.stride, i, total, log_sum); }
}
