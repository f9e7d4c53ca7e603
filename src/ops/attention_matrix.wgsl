// FlashAttention with 16x16x16 subgroup matrices, f16 operands and f32 sums, for the query rows of one kv head's group
// (row = s * group + head in the group): four subgroups of 32 threads, 16 rows each, tiles of BN keys.
// Loops over blocks of a head run to four at most: compilers do not unroll longer ones, and then keep the matrices in
// memory. WGSL gives no access to elements of a matrix, so scores go through workgroup memory to the softmax, where
// two threads share a row, and back as f16 probabilities. Scores are in units of log 2. The running maximum of a row is only raised when a score exceeds
// it by SLACK: probabilities then reach 2^SLACK, far inside f16, and the sums in registers seldom need rescaling.
//   q, k, v (as words, 8 elements a vector), seqlens?, bias?, sink? -> y (4 elements a vector)
//   H8: vectors of 8 in a head, even; at most 16; BN: a multiple of 16
//   lists: q_stride, k_stride, v_stride (vectors of 8), y_stride (vectors of 4): batch, head, row, first
//   params: tiles, group, kv_heads, seq, keys, past, scale
#include "lib/attention_keys.wgsl"
#include "lib/attention_score.wgsl"

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sum = subgroup_matrix_result<f32, 16, 16>;

const BM = 64u;
const PART = BN / 2u;  // keys of a thread in the softmax
const LOG2_E = 1.44269504;
const WG = 128u;
const SLACK = 12.0;
const KEY_BLOCKS = BN / 16u;
const HEAD_BLOCKS = H8 / 2u;
const LAST = HEAD_BLOCKS - 1u;
const LOW = min(HEAD_BLOCKS, 4u);
const ROW = H8 + 1u;         // vectors of a staged row; the odd one avoids bank conflicts
const S_ROW = BN / 4u + 1u;  // the same for scores
const P_ROW = BN / 8u + 1u;  // and for probabilities
const LOADS = (BN * H8 + WG - 1u) / WG;  // vectors of keys, and of values, that a thread stages

var<workgroup> staged: array<vec4<u32>, 2u * BN * ROW>;  // keys, then values; at first the queries
var<workgroup> scores: array<vec4<f32>, BM * S_ROW>;
var<workgroup> probs: array<vec4<u32>, BM * P_ROW>;
var<workgroup> raised: atomic<u32>;  // some row's maximum was raised in this tile
var<private> next_k: array<vec4<u32>, LOADS>;
var<private> next_v: array<vec4<u32>, LOADS>;

// Reads this thread's part of the keys and values from t0 on; values at `end` and beyond are 0, for 0 * NaN is NaN.
fn fetch(k_first: u32, v_first: u32, t0: u32, end: u32, thread: u32) {
  for (var j = 0u; j < LOADS; j++) {
    let i = thread + j * WG;
    let t = t0 + i / H8;
    next_k[j] = k[k_first + min(t, end - 1u) * k_stride_at(2u) + i % H8];
    next_v[j] = select(vec4<u32>(), v[v_first + min(t, end - 1u) * v_stride_at(2u) + i % H8], vec4<bool>(t < end));
  }
}

// Puts a block of sums into `scores`, for their owners to work on.
fn show(block: Sum, sub: u32) {
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, sub * 16u * S_ROW, block, S_ROW);
  workgroupBarrier();
}

// The block with each row times `keep` of its threads.
fn scaled(block: Sum, sub: u32, local_row: u32, lane: u32, keep: f32) -> Sum {
  show(block, sub);
  let at = local_row * S_ROW + lane % 2u * 2u;
  scores[at] *= keep;
  scores[at + 1u] *= keep;
  workgroupBarrier();
  return subgroupMatrixLoad<Sum, row_major>(&scores, sub * 16u * S_ROW, S_ROW);
}

// Writes a block of the output.
fn give(block: Sum, sub: u32, local_row: u32, lane: u32, share: f32, to: u32, inside: bool) {
  show(block, sub);
  let at = local_row * S_ROW + lane % 2u * 2u;
  if (inside) {
    y[to + lane % 2u * 2u] = y_t(scores[at] * share);
    y[to + lane % 2u * 2u + 1u] = y_t(scores[at + 1u] * share);
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let flat = group_index(group_id);
  let tile = params.tiles - 1u - flat % params.tiles;  // the longest rows first
  let kv_head = flat / params.tiles % params.kv_heads;
  let b = flat / params.tiles / params.kv_heads;
  let first_row = tile * BM;
  let last_row = params.seq * params.group - 1u;
  let first_s = first_row / params.group;
  let last_s = min(first_row + BM - 1u, last_row) / params.group;
  let seen = keys_of(b, first_s, last_s);
  let k_first = b * k_stride_at(0u) + kv_head * k_stride_at(1u) + k_stride_at(3u);
  let v_first = b * v_stride_at(0u) + kv_head * v_stride_at(1u) + v_stride_at(3u);

  for (var i = thread; i < BM * H8; i += WG) {
    let row = min(first_row + i / H8, last_row);
    let head = kv_head * params.group + row % params.group;
    staged[i / H8 * ROW + i % H8] = q[b * q_stride_at(0u) + head * q_stride_at(1u) +
                                      row / params.group * q_stride_at(2u) + q_stride_at(3u) + i % H8];
  }
  workgroupBarrier();
  var query: array<Left, HEAD_BLOCKS>;
  var sums: array<Sum, HEAD_BLOCKS>;
  for (var h = 0u; h < LOW; h++) {
    query[h] = subgroupMatrixLoad<Left, row_major>(&staged, sub * 16u * ROW + h * 2u, ROW);
    sums[h] = Sum(0.0);
  }
  for (var h = LOW; h < HEAD_BLOCKS; h++) {
    query[h] = subgroupMatrixLoad<Left, row_major>(&staged, sub * 16u * ROW + h * 2u, ROW);
    sums[h] = Sum(0.0);
  }

  // This thread's part of a row in the softmax.
  let local_row = sub * 16u + lane / 2u;
  let row = min(first_row + local_row, last_row);
  let s = row / params.group;
  let head = kv_head * params.group + row % params.group;
  let s_at = local_row * S_ROW + lane % 2u * (PART / 4u);
  let p_at = local_row * P_ROW + lane % 2u * (PART / 8u);
  var largest = LOWEST;
  var weight = 0.0;

  if (seen.begin < seen.end) { fetch(k_first, v_first, seen.begin, seen.end, thread); }
  for (var t0 = seen.begin; t0 < seen.end; t0 += BN) {
    workgroupBarrier();
    for (var j = 0u; j < LOADS; j++) {
      let i = thread + j * WG;
      if (i < BN * H8) {
        staged[i / H8 * ROW + i % H8] = next_k[j];
        staged[(BN + i / H8) * ROW + i % H8] = next_v[j];
      }
    }
    if (thread == 0u) { atomicStore(&raised, 0u); }
    workgroupBarrier();
    if (t0 + BN < seen.end) { fetch(k_first, v_first, t0 + BN, seen.end, thread); }

    for (var n = 0u; n < KEY_BLOCKS; n++) {
      var products = Sum(0.0);
      for (var h = 0u; h < LOW; h++) {
        let keys = subgroupMatrixLoad<Right, col_major>(&staged, n * 16u * ROW + h * 2u, ROW);
        products = subgroupMatrixMultiplyAccumulate(query[h], keys, products);
      }
      for (var h = LOW; h < HEAD_BLOCKS; h++) {
        let keys = subgroupMatrixLoad<Right, col_major>(&staged, n * 16u * ROW + h * 2u, ROW);
        products = subgroupMatrixMultiplyAccumulate(query[h], keys, products);
      }
      subgroupMatrixStore<row_major>(&scores, sub * 16u * S_ROW + n * 4u, products, S_ROW);
    }
    workgroupBarrier();

    var held = array<vec4<f32>, PART / 4u>();
    var top = LOWEST;
    var plain = !SOFTCAP && !BIAS && t0 + BN <= seen.end;
#if CAUSAL
    plain = plain && t0 + BN <= seen.past + first_s + 1u;
#endif
#if WINDOW
    plain = plain && t0 + params.window > seen.past + last_s;
#endif
    for (var c = 0u; c < PART / 4u; c++) {
      var x = scores[s_at + c] * (params.scale * LOG2_E);
      if (!plain) {
        let t = t0 + lane % 2u * PART + c * 4u;
        for (var e = 0u; e < 4u; e++) {
          let score = score_of(x[e] / LOG2_E, b, head, s, t + e, seen.past, seen.end);
          x[e] = select(max(score, -1e38) * LOG2_E, LOWEST, score == LOWEST);
        }
      }
      held[c] = x;
      top = max(top, max(max(x.x, x.y), max(x.z, x.w)));
    }
    top = max(top, subgroupShuffleXor(top, 1u));
    var keep = 1.0;
    if (top > largest + SLACK) {
      keep = exp2(largest - top);
      largest = top;
      atomicStore(&raised, 1u);
    }
    weight *= keep;
    for (var c = 0u; c < PART / 8u; c++) {
      let x = held[2u * c];
      let y = held[2u * c + 1u];
      var p = exp2(x - largest);
      var r = exp2(y - largest);
      if (!plain) {
        p = select(p, vec4<f32>(), x == vec4(LOWEST));
        r = select(r, vec4<f32>(), y == vec4(LOWEST));
      }
      weight += dot(p + r, vec4(1.0));
      probs[p_at + c] = vec4(pack2x16float(p.xy), pack2x16float(p.zw), pack2x16float(r.xy), pack2x16float(r.zw));
    }
    if (workgroupUniformLoad(&raised) != 0u && t0 != seen.begin) {
      // Written out, for an index that a compiler cannot resolve would move the sums out of registers.
      if (HEAD_BLOCKS > 0u) { sums[min(0u, LAST)] = scaled(sums[min(0u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 1u) { sums[min(1u, LAST)] = scaled(sums[min(1u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 2u) { sums[min(2u, LAST)] = scaled(sums[min(2u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 3u) { sums[min(3u, LAST)] = scaled(sums[min(3u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 4u) { sums[min(4u, LAST)] = scaled(sums[min(4u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 5u) { sums[min(5u, LAST)] = scaled(sums[min(5u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 6u) { sums[min(6u, LAST)] = scaled(sums[min(6u, LAST)], sub, local_row, lane, keep); }
      if (HEAD_BLOCKS > 7u) { sums[min(7u, LAST)] = scaled(sums[min(7u, LAST)], sub, local_row, lane, keep); }
    }

    for (var n = 0u; n < KEY_BLOCKS; n++) {
      let p = subgroupMatrixLoad<Left, row_major>(&probs, sub * 16u * P_ROW + n * 2u, P_ROW);
      for (var h = 0u; h < LOW; h++) {
        let values = subgroupMatrixLoad<Right, row_major>(&staged, (BN + n * 16u) * ROW + h * 2u, ROW);
        sums[h] = subgroupMatrixMultiplyAccumulate(p, values, sums[h]);
      }
      for (var h = LOW; h < HEAD_BLOCKS; h++) {
        let values = subgroupMatrixLoad<Right, row_major>(&staged, (BN + n * 16u) * ROW + h * 2u, ROW);
        sums[h] = subgroupMatrixMultiplyAccumulate(p, values, sums[h]);
      }
    }
  }

  let share = share_of(largest / LOG2_E, weight + subgroupShuffleXor(weight, 1u), head);
  let y_at = b * y_stride_at(0u) + head * y_stride_at(1u) + s * y_stride_at(2u) + y_stride_at(3u);
  let inside = first_row + local_row <= last_row;
  if (HEAD_BLOCKS > 0u) { give(sums[min(0u, LAST)], sub, local_row, lane, share, y_at + 0u, inside); }
  if (HEAD_BLOCKS > 1u) { give(sums[min(1u, LAST)], sub, local_row, lane, share, y_at + 4u, inside); }
  if (HEAD_BLOCKS > 2u) { give(sums[min(2u, LAST)], sub, local_row, lane, share, y_at + 8u, inside); }
  if (HEAD_BLOCKS > 3u) { give(sums[min(3u, LAST)], sub, local_row, lane, share, y_at + 12u, inside); }
  if (HEAD_BLOCKS > 4u) { give(sums[min(4u, LAST)], sub, local_row, lane, share, y_at + 16u, inside); }
  if (HEAD_BLOCKS > 5u) { give(sums[min(5u, LAST)], sub, local_row, lane, share, y_at + 20u, inside); }
  if (HEAD_BLOCKS > 6u) { give(sums[min(6u, LAST)], sub, local_row, lane, share, y_at + 24u, inside); }
  if (HEAD_BLOCKS > 7u) { give(sums[min(7u, LAST)], sub, local_row, lane, share, y_at + 28u, inside); }
}
