// Few rows times block-quantised columns: y[m, n] = sum_k x[m, k] * w[n, k] (+ bias[n]). Every weight is read once.
//   x [M][K], w (words) [N][blocks][BLOCK * BITS / 8 bytes], scales [N][blocks], zeros?, bias?  ->  y [M][N]
//   consts: BITS, BLOCK, WORDS (u32 a load), M, COLUMNS (of a team), SPLIT, WG, X4, ZEROS_U8, ZEROS_T, BIAS
//   params: m, k, n, blocks     A team of lanes walks along K: the workgroup when SPLIT, else each subgroup.
#include "lib/nbits.wgsl"
#include "lib/nbits_block.wgsl"

var<workgroup> part: array<f32, select(1u, WG * COLUMNS * M / 4u, SPLIT)>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let team = tid / size;
  let teams = WG / size;
  let first = (group_index(group) * select(teams, 1u, SPLIT) + select(team, 0u, SPLIT)) * COLUMNS;
  let step = select(size, WG, SPLIT);
  let chunks = params.blocks * (BLOCK / CHUNK);
  var acc: array<f32, COLUMNS * M>;
  for (var c = select(lane, tid, SPLIT); c < chunks; c += step) {
    var words = array<w_t, COLUMNS>();
    for (var j = 0u; j < COLUMNS; j++) { words[j] = w[min(first + j, params.n - 1u) * chunks + c]; }
    var sums = array<f32, M>();
    var dots = array<f32, COLUMNS * M>();
    for (var i = 0u; i < CHUNK; i += 4u) {
      for (var m = 0u; m < M; m++) {
        let v = x_quad(m, c * CHUNK + i);
        sums[m] += dot(v, vec4(1.0));
        for (var j = 0u; j < COLUMNS; j++) {
          dots[j * M + m] += dot(q_quad(word(words[j], i / Q_PER_WORD), i % Q_PER_WORD), v);
        }
      }
    }
    for (var j = 0u; j < COLUMNS; j++) {
      let block = min(first + j, params.n - 1u) * params.blocks + c * CHUNK / BLOCK;
      let scale = f32(scales[block]);
      let zero = zero_point(first + j, c * CHUNK / BLOCK);
      for (var m = 0u; m < M; m++) {
        acc[j * M + m] += scale * (Q_SPAN * dots[j * M + m] - (Q_SPAN + zero) * sums[m]);
      }
    }
  }
  for (var i = 0u; i < COLUMNS * M; i++) { acc[i] = subgroupAdd(acc[i]); }
  if (SPLIT) {
    for (var i = 0u; i < COLUMNS * M; i++) { if (lane == 0u) { part[team * COLUMNS * M + i] = acc[i]; } }
    workgroupBarrier();
    if (tid < COLUMNS * M) {
      var total = 0.0;
      for (var t = 0u; t < teams; t++) { total += part[t * COLUMNS * M + tid]; }
      store(tid % M, first + tid / M, total);
    }
  } else if (lane == 0u) {
    for (var i = 0u; i < COLUMNS * M; i++) { store(i % M, first + i / M, acc[i]); }
  }
}
