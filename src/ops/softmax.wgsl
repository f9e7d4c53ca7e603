// Softmax, or its logarithm with LOG, along lines of `dim` elements that lie `stride` apart.
//   x: [outer][dim][stride]   ->   y: the same
//   consts: WG, TEAM (a workgroup takes one line, else a thread takes one), LOG    params: lines, dim, stride
#if TEAM
var<workgroup> parts: array<vec2<f32>, WG>;
#endif

// The largest element and the sum of exp(element - largest), of two parts of a line.
fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let top = max(a.x, b.x);
  return vec2(top, a.y * exp(a.x - top) + b.y * exp(b.x - top));
}

fn part_of(first: u32, lane: u32, step: u32) -> vec2<f32> {
  var top = -3.4e38;
  for (var i = lane; i < params.dim; i += step) { top = max(top, x_get(first + i * params.stride)); }
  var sum = 0.0;
  for (var i = lane; i < params.dim; i += step) { sum += exp(x_get(first + i * params.stride) - top); }
  return vec2(top, sum);
}

fn write(first: u32, lane: u32, step: u32, all: vec2<f32>) {
#if LOG
  let shift = log(all.y);
  for (var i = lane; i < params.dim; i += step) {
    let at = first + i * params.stride;
    y_put(at, x_get(at) - all.x - shift);
  }
#else
  let scale = 1.0 / all.y;
  for (var i = lane; i < params.dim; i += step) {
    let at = first + i * params.stride;
    y_put(at, exp(x_get(at) - all.x) * scale);
  }
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#if TEAM
  let line = group_index(group);
  if (line >= params.lines) { return; }
  let first = line / params.stride * params.dim * params.stride + line % params.stride;
  parts[lane] = part_of(first, lane, WG);
  for (var n = WG / 2u; n > 0u; n /= 2u) {
    workgroupBarrier();
    if (lane < n) { parts[lane] = join(parts[lane], parts[lane + n]); }
  }
  write(first, lane, WG, workgroupUniformLoad(&parts[0]));
#else
  let line = group_index(group) * WG + lane;
  if (line >= params.lines) { return; }
  let first = line / params.stride * params.dim * params.stride + line % params.stride;
  write(first, 0u, 1u, part_of(first, 0u, 1u));
#endif
}
