// Position of the largest (or smallest) element of each line, as int64.   x -> y
//   consts: lib/lines, LAST (among equals the last position, else the first), LONG (64-bit integers),
//           better (fn better(a: x_v, b: x_v) -> bool: a beats b)
//   params: dim, stride, lines
struct A {
  value: x_v,
  at: u32,  // 0xffffffff: none yet
}
#include "lib/lines.wgsl"
#if LONG
#include "lib/int64.wgsl"
#endif

fn merge(a: A, b: A) -> A {
  if (b.at == 0xffffffffu) { return a; }
  if (a.at == 0xffffffffu) { return b; }
  if (better(a.value, b.value)) { return a; }
  if (better(b.value, a.value)) { return b; }
  let first = a.at < b.at;
  if (first != LAST) { return a; }
  return b;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = group_index(group) * LINES + line_in_group(lane);
  let part = part_of_line(lane);
  let base = line / params.stride * params.stride * params.dim + line % params.stride;
  let dim = select(0u, params.dim, line < params.lines);
  var acc: A;
  acc.at = 0xffffffffu;
  for (var i = part; i < dim; i += LANES) { acc = merge(acc, A(x_get(base + i * params.stride), i)); }
  acc = fold_line(lane, acc);
  if (part == 0u && line < params.lines) { y_put(line, vec2<u32>(acc.at, 0u)); }
}
