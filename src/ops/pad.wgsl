// y[c] = x[base + sum of m_k(c_k) * stride_k], where m_k maps a coordinate of y to one of the `extent` elements of x, of
// which `before` pads come first; MODE: 0 constant (the bytes low, high, repeated, outside), 1 reflect, 2 edge, 3 wrap.
//   x -> y    consts: RANK, MODE, WORDS, TWO, FOUR (words of a unit)
//   params: size, dims (of y), extents, before, strides, base, low, high
const OUTSIDE = 0xffffffffu;

fn mapped(k: u32, c: u32) -> u32 {
  let extent = extents_at(k);
  let before = before_at(k);
  switch (MODE) {
    case 0u: { return select(OUTSIDE, c - before, c >= before && c - before < extent); }
    case 1u: {
      let period = max(2u * (extent - 1u), 1u);
      let at = (c + period - before % period) % period;
      return min(at, period - at);
    }
    case 2u: { return min(select(0u, c - before, c >= before), extent - 1u); }
    default: { return (c + extent - before % extent) % extent; }
  }
}

fn source(i: u32) -> u32 {
  var rest = i;
  var at = params.base;
  for (var k = RANK; k > 0u; k--) {
    let next = rest / dims_at(k - 1u);
    let c = mapped(k - 1u, rest - next * dims_at(k - 1u));
    if (c == OUTSIDE) { return OUTSIDE; }
    at += c * strides_at(k - 1u);
    rest = next;
  }
  return at;
}

#if WORDS
fn filling() -> y_t {
#if FOUR
  return vec4(params.low, params.high, params.low, params.high);
#else
#if TWO
  return vec2(params.low, params.high);
#else
  return params.low;
#endif
#endif
}

fn write(i: u32) {
  if (i >= params.size) { return; }
  let at = source(i);
  if (at == OUTSIDE) {
    y[i] = filling();
  } else {
    y[i] = x[at];
  }
}
#else
fn y_at(i: u32) -> y_v {
  let at = source(i);
  if (at == OUTSIDE) { return params.low; }
  return x_get(at);
}
fn write(i: u32) { y_emit(i); }
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  write(group_index(group) * 256u + lane);
}
