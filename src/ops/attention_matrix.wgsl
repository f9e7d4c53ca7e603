// FlashAttention with 16x16x16 subgroup matrices, f16 operands and f32 sums, for the query rows of one kv head's group
// (row = s * group + head in the group). ROW_SUBS subgroups of 32 threads have 16 rows each; KEY_SUBS times as many share
// the keys, each taking BN of those that are staged, and are joined at the end.
// WGSL gives no access to elements of a matrix, so scores go through workgroup memory to the softmax, where two threads
// share a row, and back as f16 probabilities. Scores are in units of log 2. The running maximum of a row is only raised
// when a score exceeds it by SLACK: probabilities then reach 2^SLACK, far inside f16, and the sums in registers seldom
// need rescaling. Keys are the left operand, whose rows are loaded faster than the columns of a right one.
//   q, k_cache, v_cache (as words, 8 elements a vector; KV_PACKED: as lib/kv_cache.wgsl says), seqlens?, bias?, sink?
//     -> y (4 elements a vector)
//   consts: H8 (vectors of 8 in a head), BN (keys of a subgroup at once), HEAD_BLOCKS, KEY_BLOCKS (of 16), QUADS (BN / 8:
//     vectors of 4 of a thread in the softmax), LOADS (vectors of keys, and of values, that a thread stages),
//     SHARED_KEYS (KEY_SUBS > 1), PLAIN_SCORES (neither cap nor bias)
//   lists: q_stride, k_stride, v_stride (vectors of 8; of a packed cache, of 4), y_stride (vectors of 4): batch, head, row, first
//   params: tiles, group, kv_heads, seq, keys, past, scale
#include "lib/attention_keys.wgsl"
#include "lib/attention_score.wgsl"
#if KV_PACKED
alias V = vec4<f32>;
#include "lib/kv_cache.wgsl"
#endif

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sum = subgroup_matrix_result<f32, 16, 16>;

const BM = 16u * ROW_SUBS;
const PART = BN / 2u;  // keys of a thread in the softmax
const LOG2_E = 1.44269504;
const SUBS = ROW_SUBS * KEY_SUBS;
const WG = 32u * SUBS;
const TILE = BN * KEY_SUBS;  // keys that are staged at once
const SLACK = 15.0;
const ROW = H8 + 1u;         // vectors of a staged row; the odd one avoids bank conflicts
const S_ROW = BN / 4u + 1u;  // the same for scores

var<workgroup> staged: array<vec4<u32>, 2u * TILE * ROW>;  // keys, then values; at first the queries
// Bits of f32, 16 rows for each subgroup. The probabilities of a thread take the place of its scores.
var<workgroup> scores: array<vec4<u32>, SUBS * 16u * S_ROW>;
#if SHARED_KEYS
var<workgroup> stats: array<vec2<f32>, SUBS * 16u>;  // largest score and weight of each subgroup's rows
#endif
var<workgroup> raised: atomic<u32>;  // some row's maximum was raised in this tile

#include "lib/attention_stage.wgsl"

fn score_quad(at: u32) -> vec4<f32> { return bitcast<vec4<f32>>(scores[at]); }

// Puts a block of sums into `scores`, for their owners to work on.
fn show(block: Sum, sub: u32) {
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, sub * 16u * S_ROW, block, S_ROW);
  workgroupBarrier();
}

// The block with each row times `keep` of its threads.
fn scaled(block: Sum, sub: u32, lane: u32, keep: f32) -> Sum {
  show(block, sub);
  let at = (sub * 16u + lane / 2u) * S_ROW + lane % 2u * 2u;
  scores[at] = bitcast<vec4<u32>>(score_quad(at) * keep);
  scores[at + 1u] = bitcast<vec4<u32>>(score_quad(at + 1u) * keep);
  workgroupBarrier();
  return subgroupMatrixLoad<Sum, row_major>(&scores, sub * 16u * S_ROW, S_ROW);
}

// Writes a block of the output: the threads of a row share its 16 elements, and join what the subgroups of keys summed.
fn give(block: Sum, sub: u32, lane: u32, shares: array<f32, KEY_SUBS>, to: u32, inside: bool) {
  show(block, sub);
  if (inside) {
    for (var c = lane % 2u + sub / ROW_SUBS * 2u; c < 4u; c += 2u * KEY_SUBS) {
      let at = (sub % ROW_SUBS * 16u + lane / 2u) * S_ROW + c;
      var sum = vec4<f32>();
#for g KEY_SUBS
      sum += score_quad(at + $gu * BM * S_ROW) * shares[$g];
#endfor
      y[to + c] = y_t(sum);
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let row_sub = sub % ROW_SUBS;
  let first_key = sub / ROW_SUBS * BN;  // of this subgroup in a tile
  let flat = group_index(group_id);
  // The longest rows of all heads first, so that cores end together.
  let tile = params.tiles - 1u - flat / params.kv_heads % params.tiles;
  let kv_head = flat % params.kv_heads;
#if PAGED
  let b = entry_of(tile, params.group, BM);
  let first_row = (tile - first_tile(b, params.group, BM)) * BM;
#else
  let b = flat / params.tiles / params.kv_heads;
  let first_row = tile * BM;
#endif
  let all_rows = seq_of(b) * params.group;
  if (skips(first_row, all_rows)) { return; }
  let last_row = all_rows - 1u;
  let first_s = first_row / params.group;
  let last_s = min(first_row + BM - 1u, last_row) / params.group;
  let seen = keys_of(b, first_s, last_s);
  let k_first = b * k_stride_at(0u) + kv_head * k_stride_at(1u) + k_stride_at(3u);
  let v_first = b * v_stride_at(0u) + kv_head * v_stride_at(1u) + v_stride_at(3u);

  for (var i = thread; i < BM * H8; i += WG) {
    let row = min(first_row + i / H8, last_row);
    let head = kv_head * params.group + row % params.group;
    staged[i / H8 * ROW + i % H8] = q[b * q_stride_at(0u) + head * q_stride_at(1u) +
                                      query_row(b, row / params.group) * q_stride_at(2u) + q_stride_at(3u) + i % H8];
  }
  workgroupBarrier();
#for h HEAD_BLOCKS
  let query_$h = subgroupMatrixLoad<Right, col_major>(&staged, row_sub * 16u * ROW + $hu * 2u, ROW);
  var sums_$h = Sum(0.0);
#endfor

  // This thread's part of a row in the softmax.
  let local_row = row_sub * 16u + lane / 2u;
  let row = min(first_row + local_row, last_row);
  let s = row / params.group;
  let head = kv_head * params.group + row % params.group;
  let s_at = (sub * 16u + lane / 2u) * S_ROW + lane % 2u * (PART / 4u);
  var largest = LOWEST;
  var weight = 0.0;

#for j LOADS
  var next_$j = Pair();
  if (seen.begin < seen.end) { next_$j = fetch(b, k_first, v_first, seen.begin, seen.end, thread + $ju * WG); }
#endfor
  for (var t0 = seen.begin; t0 < seen.end; t0 += TILE) {
    workgroupBarrier();
#for j LOADS
    {
      let i = thread + $ju * WG;
      if (i < TILE * H8) {
        staged[i / H8 * ROW + i % H8] = next_$j.key;
        staged[(TILE + i / H8) * ROW + i % H8] = next_$j.value;
      }
    }
#endfor
    if (thread == 0u) { atomicStore(&raised, 0u); }
    workgroupBarrier();
    if (t0 + TILE < seen.end) {
#for j LOADS
      next_$j = fetch(b, k_first, v_first, t0 + TILE, seen.end, thread + $ju * WG);
#endfor
    }

#for n KEY_BLOCKS
    {
      var products = Sum(0.0);
#for h HEAD_BLOCKS
      let keys_$h = subgroupMatrixLoad<Left, row_major>(&staged, (first_key + $nu * 16u) * ROW + $hu * 2u, ROW);
      products = subgroupMatrixMultiplyAccumulate(keys_$h, query_$h, products);
#endfor
      subgroupMatrixStore<col_major>(&scores, sub * 16u * S_ROW + $nu * 4u, products, S_ROW);
    }
#endfor
    workgroupBarrier();

    var top = LOWEST;
    var plain = !SOFTCAP && !BIAS && t0 + TILE <= seen.end;
#if CAUSAL
    plain = plain && t0 + TILE <= seen.past + first_s + 1u;
#endif
#if WINDOW
    plain = plain && t0 + params.window > seen.past + last_s;
#endif
    var x = array<vec4<f32>, QUADS>();
#for c QUADS
    x[$c] = score_quad(s_at + $cu) * (params.scale * LOG2_E);
    if (!plain) { x[$c] = masked(x[$c], b, head, s, t0 + first_key + lane % 2u * PART + $cu * 4u, seen); }
    top = max(top, max(max(x[$c].x, x[$c].y), max(x[$c].z, x[$c].w)));
#endfor
    top = max(top, subgroupShuffleXor(top, 1u));
    var keep = 1.0;
    if (top > largest + SLACK) {
      keep = exp2(largest - top);
      largest = top;
      atomicStore(&raised, 1u);
    }
    weight *= keep;
#for c QUADS
    x[$c] = exp2(x[$c] - max(largest, -1.5e38));  // 0 for LOWEST, which lies far below all other scores
    weight += dot(x[$c], vec4(1.0));
#endfor
    if (workgroupUniformLoad(&raised) != 0u && t0 != seen.begin) {
#for h HEAD_BLOCKS
      sums_$h = scaled(sums_$h, sub, lane, keep);
#endfor
    }
#for n KEY_BLOCKS
    scores[s_at + $nu] = in_halves(x[2 * $n], x[2 * $n + 1]);
#endfor
    workgroupBarrier();

#for n KEY_BLOCKS
    {
      let p = subgroupMatrixLoad<Left, row_major>(
          &scores, sub * 16u * S_ROW + $nu * 16u / PART * (PART / 4u) + $nu * 16u % PART / 8u, S_ROW);
#for h HEAD_BLOCKS
      let values_$h = subgroupMatrixLoad<Right, row_major>(&staged, (TILE + first_key + $nu * 16u) * ROW + $hu * 2u, ROW);
      sums_$h = subgroupMatrixMultiplyAccumulate(p, values_$h, sums_$h);
#endfor
    }
#endfor
  }

  weight += subgroupShuffleXor(weight, 1u);
  var shares = array<f32, KEY_SUBS>();
#if SHARED_KEYS
  if (lane % 2u == 0u) { stats[sub * 16u + lane / 2u] = vec2(largest, weight); }
  workgroupBarrier();
  var top = LOWEST;
  weight = 0.0;
#for g KEY_SUBS
  let stat_$g = stats[$gu * BM + local_row];
  top = max(top, stat_$g.x);
#endfor
#for g KEY_SUBS
  shares[$g] = exp2(stat_$g.x - top);
  weight += stat_$g.y * shares[$g];
#endfor
  let share = share_of(top / LOG2_E, weight, head);
#for g KEY_SUBS
  shares[$g] *= share;
#endfor
#else
  shares[0] = share_of(largest / LOG2_E, weight, head);
#endif
  let y_at = b * y_stride_at(0u) + head * y_stride_at(1u) + query_row(b, s) * y_stride_at(2u) + y_stride_at(3u);
  let inside = first_row + local_row <= last_row;
#for h HEAD_BLOCKS
  give(sums_$h, sub, lane, shares, y_at + $hu * 4u, inside);
#endfor
}
