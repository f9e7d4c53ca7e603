// Attention of BM query rows of one (batch, kv head) with all keys that they see, in tiles of BN keys, online softmax.
// The rows of all query heads of the kv head are numbered together: row = s * group + (head in the group).
//   q, k_cache, v_cache, seqlens?, bias?, sink? -> y    V: f32 or vec4<f32>, the vector of q, keys, values and y
//   STAGE: keys pass through workgroup memory, for loads that neighbouring threads share
//   D, DV: vectors of a head of q and k, of v; WG threads; BN divides WG, BM a multiple of WG / BN and divides WG
//   lists (vectors): q_stride, k_stride, v_stride, y_stride (batch, head, row, first)
//   params: tiles, group, kv_heads, seq, keys, past, scale
#include "lib/attention_keys.wgsl"
#include "lib/kv_cache.wgsl"
#include "lib/attention_score.wgsl"

const ROWS = BM * BN / WG;                // query rows whose score with one key a thread computes
const LANES = min(DV_POW2, WG);           // threads that share a row of values
const OUT_ROWS = max(1u, BM * LANES / WG);  // query rows whose values a thread sums
const OUT_VECS = (DV + LANES - 1u) / LANES;
const TEAM = WG / BM;                     // threads that share the softmax of a row
const STRIDE = BN + 1u;

var<workgroup> q_tile: array<V, BM * D>;
#if STAGE
var<workgroup> k_tile: array<V, D * (BN + 1u)>;  // vector by vector of all keys; the odd row avoids bank conflicts
#endif
var<workgroup> p_tile: array<f32, BM * STRIDE>;
var<workgroup> parts: array<f32, WG>;
var<workgroup> fade: array<f32, BM>;  // what the new maximum makes of a row's older sums; at the end 1 / sum

fn product(a: V, b: V) -> f32 {
#if VECTOR
  return dot(a, b);
#else
  return a * b;
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = group_index(group_id);
  let tile = params.tiles - 1u - flat % params.tiles;  // the longest rows first
  let kv_head = flat / params.tiles % params.kv_heads;
#if PAGED
  let b = entry_of(tile, params.group, BM);
  let first_row = (tile - first_tile(b, params.group, BM)) * BM;
#else
  let b = flat / params.tiles / params.kv_heads;
  let first_row = tile * BM;
#endif
  let all_rows = seq_of(b) * params.group;
  if (skips(first_row, all_rows)) { return; }
  let rows = min(all_rows, first_row + BM) - first_row;

  let keys = keys_of(b, first_row / params.group, (first_row + rows - 1u) / params.group);
  let past = keys.past;
  let end = keys.end;
  for (var i = thread; i < BM * D; i += WG) {
    let row = first_row + min(i / D, rows - 1u);
    let head = kv_head * params.group + row % params.group;
    let at = b * q_stride_at(0u) + head * q_stride_at(1u) + query_row(b, row / params.group) * q_stride_at(2u) +
             q_stride_at(3u);
    q_tile[i] = V(q[at + i % D]) * params.scale;
  }

  let soft_row = thread / TEAM;
  let lane = thread % LANES;
  let out_first = thread / LANES * OUT_ROWS;
  let k_first = b * k_stride_at(0u) + kv_head * k_stride_at(1u) + k_stride_at(3u);
  let v_first = b * v_stride_at(0u) + kv_head * v_stride_at(1u) + v_stride_at(3u);
  var sums: array<V, OUT_ROWS * OUT_VECS>;
  var largest = LOWEST;
  var weight = 0.0;

  for (var t0 = keys.begin; t0 < end; t0 += BN) {
    workgroupBarrier();
#if STAGE
    for (var i = thread; i < BN * D; i += WG) {
      let row = min(t0 + i / D, end - 1u);
      k_tile[i % D * (BN + 1u) + i / D] = key_vector(k_first + row_of_key(b, row) * k_stride_at(2u), i % D);
    }
    workgroupBarrier();
#endif
    let t = t0 + thread % BN;
    let score_first = thread / BN * ROWS;
    var raw = array<f32, ROWS>();
    if (t < end) {
      let at = k_first + row_of_key(b, t) * k_stride_at(2u);
      for (var d = 0u; d < D; d++) {
#if STAGE
        let key = k_tile[d * (BN + 1u) + thread % BN];
#else
        let key = key_vector(at, d);
#endif
        for (var i = 0u; i < ROWS; i++) { raw[i] += product(q_tile[(score_first + i) * D + d], key); }
      }
    }
    for (var i = 0u; i < ROWS; i++) {
      let row = first_row + min(score_first + i, rows - 1u);
      p_tile[(score_first + i) * STRIDE + thread % BN] =
        score_of(raw[i], b, kv_head * params.group + row % params.group, row / params.group, t, past, end);
    }
    workgroupBarrier();

    var top = LOWEST;
    for (var c = thread % TEAM; c < BN; c += TEAM) { top = max(top, p_tile[soft_row * STRIDE + c]); }
    parts[thread] = top;
    workgroupBarrier();
    for (var i = 0u; i < TEAM; i++) { top = max(top, parts[soft_row * TEAM + i]); }
    top = max(top, largest);
    let keep = exp(largest - top);
    largest = top;
    weight *= keep;
    for (var c = thread % TEAM; c < BN; c += TEAM) {
      let score = p_tile[soft_row * STRIDE + c];
      let p = select(exp(score - top), 0.0, score == LOWEST);
      p_tile[soft_row * STRIDE + c] = p;
      weight += p;
    }
    if (thread % TEAM == 0u) { fade[soft_row] = keep; }
    workgroupBarrier();

    if (out_first < BM) {
      for (var i = 0u; i < OUT_ROWS * OUT_VECS; i++) { sums[i] *= fade[out_first + i / OUT_VECS]; }
      for (var c = 0u; c < min(BN, end - t0); c++) {
        let at = v_first + row_of_key(b, t0 + c) * v_stride_at(2u);
        for (var n = 0u; n < OUT_VECS; n++) {
          let value = value_vector(at, min(lane + n * LANES, DV - 1u));
          for (var i = 0u; i < OUT_ROWS; i++) {
            sums[i * OUT_VECS + n] += p_tile[(out_first + i) * STRIDE + c] * value;
          }
        }
      }
    }
  }

  workgroupBarrier();
  parts[thread] = weight;
  if (thread % TEAM == 0u) { fade[soft_row] = largest; }
  workgroupBarrier();
  if (thread < BM) {
    var sum = 0.0;
    for (var i = 0u; i < TEAM; i++) { sum += parts[thread * TEAM + i]; }
    let row = first_row + min(thread, rows - 1u);
    fade[thread] = share_of(fade[thread], sum, kv_head * params.group + row % params.group);
  }
  workgroupBarrier();
  for (var i = 0u; i < OUT_ROWS; i++) {
    let row = first_row + out_first + i;
    if (out_first + i >= rows) { break; }
    let head = kv_head * params.group + row % params.group;
    let at = b * y_stride_at(0u) + head * y_stride_at(1u) + query_row(b, row / params.group) * y_stride_at(2u) +
             y_stride_at(3u);
    for (var n = 0u; n < OUT_VECS; n++) {
      if (lane + n * LANES < DV) { y[at + lane + n * LANES] = y_t(sums[i * OUT_VECS + n] * fade[out_first + i]); }
    }
  }
}
