// The order of TopK among places of a line: better values first, equal ones by place; places beyond the line come last.
//   defined elsewhere: better (fn better(a: x_v, b: x_v) -> bool)     params: dim, stride
#if LONG
#include "lib/int64.wgsl"
#endif

const NOWHERE = 0xffffffffu;

fn first_of(line: u32) -> u32 { return line / params.stride * params.dim * params.stride + line % params.stride; }
fn value_at(line: u32, place: u32) -> x_v {
  return x_get(first_of(line) + min(place, params.dim - 1u) * params.stride);
}
fn comes_first(a: x_v, a_place: u32, b: x_v, b_place: u32) -> bool {
  if (a_place >= params.dim || b_place >= params.dim) { return a_place < b_place; }
  if (better(a, b)) { return true; }
  return !better(b, a) && a_place < b_place;
}
