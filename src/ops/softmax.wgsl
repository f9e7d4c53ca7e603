// Softmax, LogSoftmax or Hardmax along lines of `dim` elements, `stride` apart.   x -> y
//   consts: lib/lines, HARD (1 at the first maximum, 0 elsewhere), LOG (the logarithm of the result)
//   params: dim, stride, lines
alias A = vec2<f32>;  // (maximum, sum of exp(x - maximum)), or (maximum, its position) with HARD
#include "lib/lines.wgsl"
#include "lib/math.wgsl"

fn merge(a: A, b: A) -> A {
  if (HARD) {
    let later = bitcast<u32>(b.y) > bitcast<u32>(a.y);
    return select(b, a, a.x > b.x || (a.x == b.x && later));
  }
  let top = max(a.x, b.x);
  return A(top, a.y * select(exp_(a.x - top), 1.0, a.x == top) + b.y * select(exp_(b.x - top), 1.0, b.x == top));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group) * LINES + line_in_group(lane);
  let part = part_of_line(lane);
  let base = line / params.stride * params.stride * params.dim + line % params.stride;
  let dim = select(0u, params.dim, line < params.lines);
  var acc = A(-infinity(), 0.0);
  if (HARD) { acc.y = bitcast<f32>(params.dim); }
  for (var i = part; i < dim; i += LANES) {
    let v = x_get(base + i * params.stride);
    acc = merge(acc, A(v, select(1.0, bitcast<f32>(i), HARD)));
  }
  let total = fold_line(lane, acc);
  let log_sum = log_(total.y);
  for (var i = part; i < dim; i += LANES) {
    let at = base + i * params.stride;
    let v = x_get(at) - total.x;
    if (HARD) {
      y_put(at, select(0.0, 1.0, i == bitcast<u32>(total.y)));
    } else if (LOG) {
      y_put(at, v - log_sum);
    } else {
      y_put(at, exp_(v) / total.y);
    }
  }
}
