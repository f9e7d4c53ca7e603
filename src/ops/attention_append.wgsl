// Brings new rows of a GroupQueryAttention into place: heads of q [normalised and] rotated to `q_new`, of k into
// `k_cache` behind the past, of v into `v_cache`. GROW: the caches are new memory, so the past is copied and rows
// behind the new ones are zeroed. One team of TEAM threads a head vector, one thread a vector of it.
//   q, k, v, seqlens, cos_cache?, sin_cache?, ids?, q_norm?, k_norm?, k_past?, v_past? -> k_cache, v_cache, q_new?
//   V = vec4<f32>: all are bound four elements a vector, but packed caches and pasts, which are words; D: vectors of a head
//   lists (vectors): row (of q, k, v; elements of a token), first (offset of q, k, v)
//   params: slots (teams of work), heads (of q that are moved; 0 without Q), kv_heads, batch, seq (rows of q),
//           kv_seq (rows of k and v: seq or 0), capacity and past_rows (rows of the caches and of the past),
//           half (vectors of half the rotated part), positions (rows of cos_cache), eps
#include "lib/team_sum.wgsl"
#include "lib/attention_rope.wgsl"
#include "lib/kv_cache.wgsl"

#if KV_PACKED
const LANES = TEAM;

#include "lib/team_partner.wgsl"
#include "lib/kv_pack.wgsl"

// A word of the keys (kind 1) or values (kind 2).
fn put(kind: u32, at: u32, word: u32) {
  if (kind == 1u) { k_cache[at] = word; } else { v_cache[at] = word; }
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let slot = group_index(group) * (WG / TEAM) + thread / TEAM;
  let lane = thread % TEAM;
  let inside = slot < params.slots && lane < D;
  let new_kv = select(0u, params.kv_heads, params.kv_seq > 0u);
  let new_heads = max(params.heads + 2u * new_kv, 1u);
  let new_slots = params.batch * params.seq * (params.heads + 2u * new_kv);

  // A new vector of q, k or v.
  let head = slot % new_heads;
  let is_q = head < params.heads;
  let is_k = !is_q && head < params.heads + params.kv_heads;
  let s = slot / new_heads % params.seq;
  let b = select(0u, slot / new_heads / params.seq, slot < new_slots);
  let kind = select(select(2u, 1u, is_k), 0u, is_q);
  let own = select(select(head - params.heads - params.kv_heads, head - params.heads, is_k), head, is_q);
  let at = (b * params.seq + s) * row_at(kind) + first_at(kind) + own * D;
  let total = u32(max(seqlens[b] + 1, 0));
  let past = max(total, params.seq) - params.seq;
  let fresh = inside && slot < new_slots;
  var scale = 1.0;
#if QK_NORM
  var squares = 0.0;
  if (fresh && kind != 2u) {
    let v = raw(kind, at + lane);
    squares = dot(v, v);
  }
  scale = inverseSqrt(team_sum(squares, thread) / f32(4u * D) + params.eps);
#endif
  var value = V();
  if (fresh) {
    if (kind == 2u) {
      value = V(v[at + lane]);
    } else {
      value = rotated(kind, at, lane, position(b, s, past), scale);
    }
  }
#if KV_PACKED
  let line = turned(Line(value), thread);
  value = line[0];
  let words = packed(line, thread);
#endif
  if (fresh) {
#if Q
    if (kind == 0u) {
      q_new[((b * params.seq + s) * params.heads + own) * D + lane] = q_new_t(value);
      return;
    }
#endif
    if (past + s >= params.capacity) { return; }
    let row = ((b * params.kv_heads + own) * params.capacity + past + s) * ROW_VECTORS;
#if KV_PACKED
    put(kind, word_of(row, lane), words.v0);
    if (lane == 0u) { put(kind, row / PER_WORD, words.header); }
#else
    if (kind == 1u) { k_cache[row + lane] = k_cache_t(value); } else { v_cache[row + lane] = v_cache_t(value); }
#endif
    return;
  }
#if GROW
  if (slot < new_slots || slot >= params.slots) { return; }
  // A row of the caches that holds the past, or nothing.
  let old = slot - new_slots;
  let t = old % params.capacity;
  let row = old / params.capacity;  // batch * kv head
  let entry = row / params.kv_heads;
  let known = u32(max(seqlens[entry] + 1, 0));
  let kept = max(known, params.kv_seq) - params.kv_seq;
  if (t >= kept && t < kept + params.kv_seq) { return; }
  for (var i = lane; i < ROW_PARTS; i += TEAM) {
    var old_k = key_part();
    var old_v = value_part();
    if (t < min(kept, params.past_rows)) {
      old_k = k_past[(row * params.past_rows + t) * ROW_PARTS + i];
      old_v = v_past[(row * params.past_rows + t) * ROW_PARTS + i];
    }
    k_cache[(row * params.capacity + t) * ROW_PARTS + i] = old_k;
    v_cache[(row * params.capacity + t) * ROW_PARTS + i] = old_v;
  }
#endif
}
