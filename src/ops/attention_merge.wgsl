// Joins the partial sums of attention_decode: one workgroup a query row, LANES threads a vector of its value each,
// WG / LANES of them over the splits, which are no more where the device allows.
//   parts, seqlens?, sink? -> y    consts as in attention_decode; CHUNK and ROWS are its
//   lists (vectors, !FUSED): y_stride    params: splits, seq, keys, past    grid: row tiles * ROWS
#include "lib/attention_split.wgsl"
#include "lib/attention_score.wgsl"

const PARTS = WG / LANES;
const VV = (DV + LANES - 1u) / LANES;

var<workgroup> part_sums: array<vec4<f32>, PARTS * DV>;
var<workgroup> part_tops: array<f32, PARTS>;
var<workgroup> part_weights: array<f32, PARTS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = group_index(group_id);
  let line = flat / ROWS;
  let r = flat % ROWS;
  let p = place_of(line);
  if (p.first_row + r >= p.rows) { return; }
  let used = splits_of(p);
  let lane = thread % LANES;
  let part = thread / LANES;
  var own = LOWEST;
  var weight = 0.0;
  var sums = array<vec4<f32>, VV>();
  for (var i = part; i < params.splits; i += PARTS) {
    // Loads do not wait for the length; parts that are not used may hold anything.
    let at = (line * params.splits + i) * ROWS * (DV + 1u);
    let there = i < used;
    let stat = select(vec4(LOWEST, 0.0, 0.0, 0.0), parts[at + ROWS * DV + r], vec4(there));
    let next = max(own, stat.x);
    let keep = exp(own - next);
    let share = exp(stat.x - next);
    weight = weight * keep + stat.y * share;
    for (var n = 0u; n < VV; n++) {
      let sum = parts[at + r * DV + min(lane + n * LANES, DV - 1u)];
      sums[n] = sums[n] * keep + select(vec4<f32>(), sum, vec4(there)) * share;
    }
    own = next;
  }
  if (lane == 0u) { part_tops[part] = own; }
  workgroupBarrier();
  var top = LOWEST;
  for (var i = 0u; i < PARTS; i++) { top = max(top, part_tops[i]); }
  let keep = exp(own - top);
  if (lane == 0u) { part_weights[part] = weight * keep; }
  for (var n = 0u; n < VV; n++) {
    if (lane + n * LANES < DV) { part_sums[part * DV + lane + n * LANES] = sums[n] * keep; }
  }
  workgroupBarrier();
  for (var e = thread; e < DV; e += WG) {
    var total = 0.0;
    var sum = vec4<f32>();
    for (var i = 0u; i < PARTS; i++) {
      total += part_weights[i];
      sum += part_sums[i * DV + e];
    }
    y[output_of(p, r) + e] = y_t(sum * share_of(top, total, head_of(p, r)));
  }
}
