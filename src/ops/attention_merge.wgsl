// Joins the partial sums of attention_decode: one workgroup a query row, LANES threads a vector of its value each,
// WG / LANES of them over the splits.
//   parts, seqlens?, sink? -> y    consts as in attention_decode; CHUNK and ROWS are its
//   lists (vectors, !FUSED): y_stride    params: tiles, splits, group, kv_heads, seq, keys, past
#include "lib/attention_split.wgsl"
#include "lib/attention_score.wgsl"

const PARTS = WG / LANES;
const VV = (DV + LANES - 1u) / LANES;

var<workgroup> part_sums: array<vec4<f32>, PARTS * DV>;
var<workgroup> part_stats: array<vec2<f32>, PARTS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = group_index(group_id);
  let line = flat / ROWS;
  let r = flat % ROWS;
  let p = place_of(line);
  if (p.first_row + r >= params.seq * params.group) { return; }
  let used = split_of(p).used;
  let lane = thread % LANES;
  let part = thread / LANES;
  var top = LOWEST;
  var total = 0.0;
  var sums = array<vec4<f32>, VV>();
  for (var i = part; i < used; i += PARTS) {
    let at = (line * params.splits + i) * ROWS * (DV + 1u);
    let stat = parts[at + ROWS * DV + r];
    let next = max(top, stat.x);
    let keep = exp(top - next);
    let share = exp(stat.x - next);
    total = total * keep + stat.y * share;
    for (var n = 0u; n < VV; n++) {
      sums[n] = sums[n] * keep + parts[at + r * DV + min(lane + n * LANES, DV - 1u)] * share;
    }
    top = next;
  }
  if (lane == 0u) { part_stats[part] = vec2(top, total); }
  for (var n = 0u; n < VV; n++) {
    if (lane + n * LANES < DV) { part_sums[part * DV + lane + n * LANES] = sums[n]; }
  }
  workgroupBarrier();
  for (var e = thread; e < DV; e += WG) {
    top = LOWEST;
    for (var i = 0u; i < PARTS; i++) { top = max(top, part_stats[i].x); }
    total = 0.0;
    var sum = vec4<f32>();
    for (var i = 0u; i < PARTS; i++) {
      let keep = exp(part_stats[i].x - top);
      total += part_stats[i].y * keep;
      sum += part_sums[i * DV + e] * keep;
    }
    y[output_of(p, r) + e] = y_t(sum * share_of(top, total, head_of(p, r)));
  }
}
