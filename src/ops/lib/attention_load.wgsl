// Query rows and chunks of keys and values for attention_decode, into its private arrays `query`, `key`, `value`.
// Lane `lane` of a team holds vectors lane, lane + LANES, ... of a row.
#if FUSED
#include "lib/attention_rope.wgsl"

fn team_total(x: f32) -> f32 {
  var v = x;
  for (var step = LANES / 2u; step > 0u; step /= 2u) { v += subgroupShuffleXor(v, step); }
  return v;
}

// 1 / rms of the head vector at `at` of q (kind 0) or k (kind 1).
fn head_scale(kind: u32, at: u32, lane: u32) -> f32 {
#if QK_NORM
  var squares = 0.0;
  for (var n = 0u; n < VK; n++) {
    let v = raw(kind, at + min(lane + n * LANES, D - 1u));
    squares += select(0.0, dot(v, v), lane + n * LANES < D);
  }
  return inverseSqrt(team_total(squares) / f32(4u * D) + params.eps);
#else
  return 1.0;
#endif
}
#endif

fn load_query(p: Place, lane: u32) {
  var rows: array<array<V, VK>, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    let s = row_of(p, r) / GROUP;
#if FUSED
    let at = (p.b * params.seq + s) * params.q_row + head_of(p, r) * D;
    let scale = head_scale(0u, at, lane);
#else
    let at = p.b * q_stride_at(0u) + head_of(p, r) * q_stride_at(1u) + s * q_stride_at(2u) + q_stride_at(3u);
#endif
    for (var n = 0u; n < VK; n++) {
      let i = lane + n * LANES;
#if FUSED
      let v = rotated(0u, at, min(i, D - 1u), position(p.b, s, p.keys.past), scale);
#else
      let v = V(q[at + min(i, D - 1u)]);
#endif
      rows[r][n] = select(V(), v * params.scale, vec4(i < D));
    }
  }
  for (var n = 0u; n < VK; n++) {
    for (var c = 0u; c < 4u; c++) {
      var each = array<f32, 4>();
      for (var r = 0u; r < ROWS; r++) { each[r] = rows[r][n][c]; }
      query[n * 4u + c] = rows_of(each);
    }
  }
}

// Keys first, first + TEAMS, ...; those outside the tensor read some other row.
fn load_keys(p: Place, first: u32, lane: u32) {
  for (var u = 0u; u < UNROLL; u++) {
    let t = first + u * TEAMS;
#if !FUSED
    let row = min(t, params.keys - 1u);
    let k_at = p.b * k_stride_at(0u) + p.kv_head * k_stride_at(1u) + row * k_stride_at(2u) + k_stride_at(3u);
    let v_at = p.b * v_stride_at(0u) + p.kv_head * v_stride_at(1u) + row * v_stride_at(2u) + v_stride_at(3u);
    for (var n = 0u; n < VK; n++) { key[u * VK + n] = V(k_cache[k_at + min(lane + n * LANES, D - 1u)]); }
    for (var n = 0u; n < VV; n++) { value[u * VV + n] = V(v_cache[v_at + min(lane + n * LANES, DV - 1u)]); }
#else
#if GROW
    let at = ((p.b * KV_HEADS + p.kv_head) * params.past_rows + min(t, params.past_rows - 1u)) * D;
    for (var n = 0u; n < VK; n++) {
      key[u * VK + n] = V(k_past[at + min(lane + n * LANES, D - 1u)]);
      value[u * VK + n] = V(v_past[at + min(lane + n * LANES, D - 1u)]);
    }
#else
    let at = ((p.b * KV_HEADS + p.kv_head) * params.keys + min(t, params.keys - 1u)) * D;
    for (var n = 0u; n < VK; n++) {
      key[u * VK + n] = V(k_cache[at + min(lane + n * LANES, D - 1u)]);
      value[u * VK + n] = V(v_cache[at + min(lane + n * LANES, D - 1u)]);
    }
#endif
#endif
  }
}

#if FUSED
// Replaces what `load_keys` could not know: the keys from the past's end on, made of the new rows.
fn make_keys(p: Place, first: u32, lane: u32) {
  for (var u = 0u; u < UNROLL; u++) {
    let t = first + u * TEAMS;
    let is_new = t >= p.keys.past && t - p.keys.past < params.kv_seq;
    let s = select(0u, t - p.keys.past, is_new);
    let row = (p.b * params.kv_seq + s) * params.kv_row + p.kv_head * D;
    let scale = head_scale(1u, row + params.first_k, lane);
    for (var n = 0u; n < VK; n++) {
      let i = min(lane + n * LANES, D - 1u);
      let k_new = rotated(1u, row + params.first_k, i, position(p.b, s, p.keys.past), scale);
      if (is_new) {
        key[u * VK + n] = V(k_cache_t(k_new));
        value[u * VK + n] = V(v[row + params.first_v + i]);
      }
    }
  }
}

// Stores keys and values of the chunk that the caches do not have.
fn store_keys(p: Place, first: u32, lane: u32) {
  for (var u = 0u; u < UNROLL; u++) {
    let t = first + u * TEAMS;
    if (t < p.stop && (GROW || t >= p.keys.past)) {
      let at = ((p.b * KV_HEADS + p.kv_head) * params.keys + t) * D;
      for (var n = 0u; n < VK; n++) {
        let i = lane + n * LANES;
        if (i < D) {
          k_cache[at + i] = k_cache_t(key[u * VK + n]);
          v_cache[at + i] = v_cache_t(value[u * VK + n]);
        }
      }
    }
  }
}
#endif
