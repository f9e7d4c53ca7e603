// Sorts TILE candidates of one line in a workgroup and keeps the first ones; a line has `tiles` tiles.
//   x, candidates? (places: [lines][count]; without it the places 0, 1, ...) -> to: [lines][tiles][keep]
//   consts: WG, TILE, LISTED (there are candidates), LONG, better
//   params: dim, stride, lines, count (candidates of a line), tiles, keep
#include "lib/topk_order.wgsl"

var<workgroup> values: array<x_v, TILE>;
var<workgroup> places: array<u32, TILE>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_index(group);
  let line = min(flat / params.tiles, params.lines - 1u);
  for (var i = lane; i < TILE; i += WG) {
    let candidate = flat % params.tiles * TILE + i;
    var place = NOWHERE;
    if (candidate < params.count) {
#if LISTED
      place = candidates_get(line * params.count + candidate);
#else
      place = candidate;
#endif
    }
    places[i] = place;
    values[i] = value_at(line, place);
  }
  workgroupBarrier();
  for (var run = 2u; run <= TILE; run *= 2u) {
    for (var step = run / 2u; step > 0u; step /= 2u) {
      for (var pair = lane; pair < TILE / 2u; pair += WG) {
        let a = pair / step * step * 2u + pair % step;
        let b = a + step;
        let swap_wanted = comes_first(values[b], places[b], values[a], places[a]);
        if (swap_wanted == ((a & run) == 0u)) {
          let value = values[a];
          let place = places[a];
          values[a] = values[b];
          places[a] = places[b];
          values[b] = value;
          places[b] = place;
        }
      }
      workgroupBarrier();
    }
  }
  if (flat >= params.lines * params.tiles) { return; }
  for (var i = lane; i < params.keep; i += WG) { to[flat * params.keep + i] = places[i]; }
}
