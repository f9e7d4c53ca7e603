// Brings the new tokens of PagedAttention into place: heads of q [normalised and] rotated to `q_new`, of k likewise and of
// v into the rows of the caches that the table names, or with SLOTS those that `slots` names (row of the whole cache; one
// outside it, as -1, is not written). One team of TEAM threads a head vector, one thread a vector of it.
//   q, k, v?, starts, pasts, block_table or slots, cos_cache?, sin_cache?, q_norm?, k_norm? -> k_cache, v_cache?, q_new?
//   V = vec4<f32>: all but the i32 ones are bound four elements a vector; D: vectors of a head
//   consts: Q (q is moved), VALUES (there is v)
//   SCALED: the caches hold signed bytes (words), to be multiplied by k_scale and v_scale, which have an element, or with
//   K_CHANNELS and V_CHANNELS one for each of a token (bound four a vector). q_new is multiplied by k_scale for them.
//   lists (vectors): row (of q, k, v; elements of a token), first (offset of q, k, v)
//   params: slots_count (teams of work), heads (of q that are moved; 0 without Q), kv_heads, half (vectors of half the
//           rotated part), positions (rows of cos_cache), eps, and those of attention_pages
#include "lib/attention_pages.wgsl"
#include "lib/team_sum.wgsl"
#include "lib/attention_rope.wgsl"

#if SCALED
// The factors of vector i of kv head `own`.
fn key_scale(own: u32, i: u32) -> V {
#if K_CHANNELS
  return k_scale[own * D + i];
#else
  return V(k_scale[0]);
#endif
}

fn value_scale(own: u32, i: u32) -> V {
#if V_CHANNELS
  return v_scale[own * D + i];
#else
  return V(v_scale[0]);
#endif
}

// A vector in steps of `scale`.
fn in_bytes(x: V, scale: V) -> u32 {
  let inverse = select(1.0 / scale, V(), scale == V());
  return pack4xI8(vec4<i32>(clamp(round(x * inverse), V(-128.0), V(127.0))));
}
#endif

// The row of the caches for a token at `pos` of entry b; params.pool * BLOCK or more: none.
fn target_row(token: u32, b: u32, pos: u32) -> u32 {
#if SLOTS
  return u32(slots[token]);
#else
  let block = block_of(b, pos);
  return select(params.pool * BLOCK, block * BLOCK + pos % BLOCK, pos < params.keys && block < params.pool);
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let job = group_index(group) * (WG / TEAM) + thread / TEAM;
  let lane = thread % TEAM;
  let heads = params.heads + select(1u, 2u, VALUES) * params.kv_heads;
  let token = min(job / heads, params.tokens - 1u);
  let head = job % heads;
  let is_q = head < params.heads;
  let is_k = !is_q && head < params.heads + params.kv_heads;
  let kind = select(select(2u, 1u, is_k), 0u, is_q);
  let own = select((head - params.heads) % params.kv_heads, head, is_q);
  let at = token * row_at(kind) + first_at(kind) + own * D;
  var scale = 1.0;
#if QK_NORM
  var squares = 0.0;
  if (lane < D && kind != 2u) {
    let v = raw(kind, at + lane);
    squares = dot(v, v);
  }
  scale = inverseSqrt(team_sum(squares, thread) / f32(4u * D) + params.eps);
#endif
  let b = entry_of(token, 1u, 1u);
  let s = token - start_of(b);
  if (job / heads >= params.tokens || lane >= D || s >= seq_of(b)) { return; }
  let pos = past_of(b) + s;
#if Q
  if (is_q) {
    var query = rotated(kind, at, lane, pos, scale);
#if SCALED
    query *= key_scale(own / (params.heads / params.kv_heads), lane);
#endif
    q_new[(token * params.heads + own) * D + lane] = q_new_t(query);
    return;
  }
#endif
  let row = target_row(token, b, pos);
  if (row >= params.pool * BLOCK) { return; }
  let to = (row * params.kv_heads + own) * D + lane;
#if VALUES
  if (kind == 2u) {
#if SCALED
    v_cache[to] = in_bytes(V(v[at + lane]), value_scale(own, lane));
#else
    v_cache[to] = v_cache_t(v[at + lane]);
#endif
    return;
  }
#endif
  let key = rotated(kind, at, lane, pos, scale);
#if SCALED
  k_cache[to] = in_bytes(key, key_scale(own, lane));
#else
  k_cache[to] = k_cache_t(key);
#endif
}
