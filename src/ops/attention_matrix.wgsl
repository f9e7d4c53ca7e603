// FlashAttention with 16x16x16 subgroup matrices, f16 operands and f32 sums, for the query rows of one kv head's group
// (row = s * group + head in the group): four subgroups of 32 threads, 16 rows each, tiles of BN keys.
// WGSL gives no access to elements of a matrix, so scores go through workgroup memory to the softmax, where two threads
// share a row, and back as f16 probabilities. Scores are in units of log 2. The running maximum of a row is only raised
// when a score exceeds it by SLACK: probabilities then reach 2^SLACK, far inside f16, and the sums in registers seldom
// need rescaling.
//   q, k_cache, v_cache (as words, 8 elements a vector; KV_PACKED: as lib/kv_cache.wgsl says), seqlens?, bias?, sink?
//     -> y (4 elements a vector)
//   consts: H8 (vectors of 8 in a head), BN (keys of a tile), HEAD_BLOCKS, KEY_BLOCKS (of 16), QUADS (BN / 8: vectors of 4 of
//     a thread in the softmax), LOADS (vectors of keys, and of values, that a thread stages)
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

const BM = 64u;
const PART = BN / 2u;  // keys of a thread in the softmax
const LOG2_E = 1.44269504;
const WG = 128u;
const SLACK = 15.0;
const ROW = H8 + 1u;         // vectors of a staged row; the odd one avoids bank conflicts
const S_ROW = BN / 4u + 1u;  // the same for scores
const P_ROW = BN / 8u + 1u;  // and for probabilities

var<workgroup> staged: array<vec4<u32>, 2u * BN * ROW>;  // keys, then values; at first the queries
var<workgroup> scores: array<vec4<u32>, BM * S_ROW>;  // bits of f32
var<workgroup> probs: array<vec4<u32>, BM * P_ROW>;
var<workgroup> raised: atomic<u32>;  // some row's maximum was raised in this tile

// A vector of the keys and one of the values of a tile; values at `end` and beyond are 0, for 0 * NaN is NaN.
struct Pair {
  key: vec4<u32>,
  value: vec4<u32>,
}

fn fetch(b: u32, k_first: u32, v_first: u32, t0: u32, end: u32, i: u32) -> Pair {
  let t = t0 + i / H8;
  let row = row_of_key(b, min(t, end - 1u));
  let key_row = k_first + row * k_stride_at(2u);
  let value_row = v_first + row * v_stride_at(2u);
#if KV_PACKED
  let at = i % H8 * 2u;
  let key = in_halves(key_vector(key_row, at), key_vector(key_row, at + 1u));
  let value = in_halves(value_vector(value_row, at), value_vector(value_row, at + 1u));
#else
  let key = k_cache[key_row + i % H8];
  let value = v_cache[value_row + i % H8];
#endif
  return Pair(key, select(vec4<u32>(), value, vec4<bool>(t < end)));
}

fn in_halves(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
  return vec4(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
}

fn score_quad(at: u32) -> vec4<f32> { return bitcast<vec4<f32>>(scores[at]); }

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
  scores[at] = bitcast<vec4<u32>>(score_quad(at) * keep);
  scores[at + 1u] = bitcast<vec4<u32>>(score_quad(at + 1u) * keep);
  workgroupBarrier();
  return subgroupMatrixLoad<Sum, row_major>(&scores, sub * 16u * S_ROW, S_ROW);
}

// Writes a block of the output.
fn give(block: Sum, sub: u32, local_row: u32, lane: u32, share: f32, to: u32, inside: bool) {
  show(block, sub);
  let at = local_row * S_ROW + lane % 2u * 2u;
  if (inside) {
    y[to + lane % 2u * 2u] = y_t(score_quad(at) * share);
    y[to + lane % 2u * 2u + 1u] = y_t(score_quad(at + 1u) * share);
  }
}

// Scores of keys t to t + 3, without those that the row does not see.
fn masked(x: vec4<f32>, b: u32, head: u32, s: u32, t: u32, seen: Keys) -> vec4<f32> {
  var v = x;
  for (var e = 0u; e < 4u; e++) {
    let score = score_of(v[e] / LOG2_E, b, head, s, t + e, seen.past, seen.end);
    v[e] = select(max(score, -1e38) * LOG2_E, LOWEST, score == LOWEST);
  }
  return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) sub: u32, @builtin(subgroup_invocation_id) lane: u32) {
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
  let query_$h = subgroupMatrixLoad<Left, row_major>(&staged, sub * 16u * ROW + $hu * 2u, ROW);
  var sums_$h = Sum(0.0);
#endfor

  // This thread's part of a row in the softmax.
  let local_row = sub * 16u + lane / 2u;
  let row = min(first_row + local_row, last_row);
  let s = row / params.group;
  let head = kv_head * params.group + row % params.group;
  let s_at = local_row * S_ROW + lane % 2u * (PART / 4u);
  let p_at = local_row * P_ROW + lane % 2u * (PART / 8u);
  var largest = LOWEST;
  var weight = 0.0;

#for j LOADS
  var next_$j = Pair();
  if (seen.begin < seen.end) { next_$j = fetch(b, k_first, v_first, seen.begin, seen.end, thread + $ju * WG); }
#endfor
  for (var t0 = seen.begin; t0 < seen.end; t0 += BN) {
    workgroupBarrier();
#for j LOADS
    {
      let i = thread + $ju * WG;
      if (i < BN * H8) {
        staged[i / H8 * ROW + i % H8] = next_$j.key;
        staged[(BN + i / H8) * ROW + i % H8] = next_$j.value;
      }
    }
#endfor
    if (thread == 0u) { atomicStore(&raised, 0u); }
    workgroupBarrier();
    if (t0 + BN < seen.end) {
#for j LOADS
      next_$j = fetch(b, k_first, v_first, t0 + BN, seen.end, thread + $ju * WG);
#endfor
    }

#for n KEY_BLOCKS
    {
      var products = Sum(0.0);
#for h HEAD_BLOCKS
      let keys_$h = subgroupMatrixLoad<Right, col_major>(&staged, $nu * 16u * ROW + $hu * 2u, ROW);
      products = subgroupMatrixMultiplyAccumulate(query_$h, keys_$h, products);
#endfor
      subgroupMatrixStore<row_major>(&scores, sub * 16u * S_ROW + $nu * 4u, products, S_ROW);
    }
#endfor
    workgroupBarrier();

    var top = LOWEST;
    var plain = !SOFTCAP && !BIAS && t0 + BN <= seen.end;
#if CAUSAL
    plain = plain && t0 + BN <= seen.past + first_s + 1u;
#endif
#if WINDOW
    plain = plain && t0 + params.window > seen.past + last_s;
#endif
    var x = array<vec4<f32>, QUADS>();
#for c QUADS
    x[$c] = score_quad(s_at + $cu) * (params.scale * LOG2_E);
    if (!plain) { x[$c] = masked(x[$c], b, head, s, t0 + lane % 2u * PART + $cu * 4u, seen); }
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
    x[$c] = select(exp2(x[$c] - largest), vec4<f32>(), x[$c] == vec4(LOWEST));
    weight += dot(x[$c], vec4(1.0));
#endfor
#for n KEY_BLOCKS
    probs[p_at + $nu] = in_halves(x[2 * $n], x[2 * $n + 1]);
#endfor
    if (workgroupUniformLoad(&raised) != 0u && t0 != seen.begin) {
#for h HEAD_BLOCKS
      sums_$h = scaled(sums_$h, sub, local_row, lane, keep);
#endfor
    }

#for n KEY_BLOCKS
    {
      let p = subgroupMatrixLoad<Left, row_major>(&probs, sub * 16u * P_ROW + $nu * 2u, P_ROW);
#for h HEAD_BLOCKS
      let values_$h = subgroupMatrixLoad<Right, row_major>(&staged, (BN + $nu * 16u) * ROW + $hu * 2u, ROW);
      sums_$h = subgroupMatrixMultiplyAccumulate(p, values_$h, sums_$h);
#endfor
    }
#endfor
  }

  let share = share_of(largest / LOG2_E, weight + subgroupShuffleXor(weight, 1u), head);
  let y_at = b * y_stride_at(0u) + head * y_stride_at(1u) + query_row(b, s) * y_stride_at(2u) + y_stride_at(3u);
  let inside = first_row + local_row <= last_row;
#for h HEAD_BLOCKS
  give(sums_$h, sub, local_row, lane, share, y_at + $hu * 4u, inside);
#endfor
}
