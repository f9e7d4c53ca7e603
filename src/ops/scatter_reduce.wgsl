// y = x with each place combined with its updates, in the order of the place's list. f16 and bf16 accumulate in f32.
//   x, updates, head (u32), next (u32) -> y    consts: OP (1 add, 2 mul, 3 min, 4 max), WIDE (64-bit integers), SIGNED
//   (WIDE), BOOL    params: size, inner (elements of a place)
#if WIDE
#include "lib/int64.wgsl"
fn combine(a: y_v, b: y_v) -> y_v {
  switch (OP) {
    case 1u: { return add64(a, b); }
    case 2u: { return mul64(a, b); }
    default: {
      let less = select(less_u64(b, a), less_i64(b, a), SIGNED);
      return select(a, b, less == (OP == 3u));
    }
  }
}
#else
#if BOOL
// Sums and maxima are "or", products and minima "and".
fn combine(a: y_v, b: y_v) -> y_v {
  if (OP == 1u || OP == 4u) { return a || b; }
  return a && b;
}
#else
fn combine(a: y_v, b: y_v) -> y_v {
  switch (OP) {
    case 1u: { return a + b; }
    case 2u: { return a * b; }
    case 3u: { return select(a, b, b < a); }
    default: { return select(a, b, b > a); }
  }
}
#endif
#endif

fn y_at(i: u32) -> y_v {
  let place = i / params.inner;
  let within = i - place * params.inner;
  var value = x_get(i);
  var node = head[place];
  while (node != 0u) {
    value = combine(value, updates_get((node - 1u) * params.inner + within));
    node = next[node - 1u];
  }
  return value;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 256u + lane);
}
