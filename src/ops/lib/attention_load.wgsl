// Query rows, keys and values for attention_decode: its Query, Key and Value. Lane `lane` of a team holds vectors lane,
// lane + LANES, ... of a row.
fn vector_of(lane: u32, n: u32, count: u32) -> u32 { return min(lane + n * LANES, count - 1u); }

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
    let v = raw(kind, at + vector_of(lane, n, D));
    squares += select(0.0, dot(v, v), lane + n * LANES < D);
  }
  return inverseSqrt(team_total(squares) / f32(4u * D) + params.eps);
#else
  return 1.0;
#endif
}
#endif

fn load_query(p: Place, lane: u32) -> Query {
  var query = Query();
#for n VK
#for r 4
  var v$n_$r = V();
#endfor
#endfor
#for r ROWS
  {
    let s = row_of(p, $ru) / GROUP;
#if FUSED
    let at = (p.b * params.seq + s) * params.q_row + head_of(p, $ru) * D;
    let scale = head_scale(0u, at, lane);
#else
    let at = p.b * q_stride_at(0u) + head_of(p, $ru) * q_stride_at(1u) + s * q_stride_at(2u) + q_stride_at(3u);
#endif
#for n VK
    let i$n = vector_of(lane, $nu, D);
#if FUSED
    let x$n = rotated(0u, at, i$n, position(p.b, s, p.keys.past), scale);
#else
    let x$n = V(q[at + i$n]);
#endif
    v$n_$r = select(V(), x$n * params.scale, vec4(lane + $nu * LANES < D));
#endfor
  }
#endfor
#for n VK
  query.x$n = rows_of(array<f32, 4>(v$n_0.x, v$n_1.x, v$n_2.x, v$n_3.x));
  query.y$n = rows_of(array<f32, 4>(v$n_0.y, v$n_1.y, v$n_2.y, v$n_3.y));
  query.z$n = rows_of(array<f32, 4>(v$n_0.z, v$n_1.z, v$n_2.z, v$n_3.z));
  query.w$n = rows_of(array<f32, 4>(v$n_0.w, v$n_1.w, v$n_2.w, v$n_3.w));
#endfor
  return query;
}

// Key t; one outside the tensor reads some other row.
fn load_key(p: Place, t: u32, lane: u32) -> Key {
  var key = Key();
#if GROW
  let at = ((p.b * KV_HEADS + p.kv_head) * params.past_rows + min(t, max(params.past_rows, 1u) - 1u)) * D;
#for n VK
  key.v$n = k_cache_t(k_past[at + vector_of(lane, $nu, D)]);
#endfor
#else
#if FUSED
  let at = ((p.b * KV_HEADS + p.kv_head) * params.keys + min(t, params.keys - 1u)) * D;
#else
  let at = p.b * k_stride_at(0u) + p.kv_head * k_stride_at(1u) + min(t, params.keys - 1u) * k_stride_at(2u) + k_stride_at(3u);
#endif
#for n VK
  key.v$n = k_cache[at + vector_of(lane, $nu, D)];
#endfor
#endif
  return key;
}

fn load_value(p: Place, t: u32, lane: u32) -> Value {
  var value = Value();
#if GROW
  let at = ((p.b * KV_HEADS + p.kv_head) * params.past_rows + min(t, max(params.past_rows, 1u) - 1u)) * DV;
#for n VV
  value.v$n = v_cache_t(v_past[at + vector_of(lane, $nu, DV)]);
#endfor
#else
#if FUSED
  let at = ((p.b * KV_HEADS + p.kv_head) * params.keys + min(t, params.keys - 1u)) * DV;
#else
  let at = p.b * v_stride_at(0u) + p.kv_head * v_stride_at(1u) + min(t, params.keys - 1u) * v_stride_at(2u) + v_stride_at(3u);
#endif
#for n VV
  value.v$n = v_cache[at + vector_of(lane, $nu, DV)];
#endfor
#endif
  return value;
}

#if FUSED
// Vector 0 of the new row for key t, the last one for those beyond it, in k and v without their offsets.
fn new_row(p: Place, t: u32) -> u32 {
  return (p.b * params.kv_seq + min(t - p.keys.past, params.kv_seq - 1u)) * params.kv_row + p.kv_head * D;
}

fn new_key(p: Place, t: u32, lane: u32) -> Key {
  var key = Key();
  let at = new_row(p, t) + params.first_k;
  let s = min(t - p.keys.past, params.kv_seq - 1u);
  let scale = head_scale(1u, at, lane);
#for n VK
  key.v$n = k_cache_t(rotated(1u, at, vector_of(lane, $nu, D), position(p.b, s, p.keys.past), scale));
#endfor
  return key;
}

fn new_value(p: Place, t: u32, lane: u32) -> Value {
  var value = Value();
#for n VV
  value.v$n = v_cache_t(v[new_row(p, t) + params.first_v + vector_of(lane, $nu, DV)]);
#endfor
  return value;
}

fn store_key(p: Place, t: u32, lane: u32, key: Key, value: Value) {
  let at = ((p.b * KV_HEADS + p.kv_head) * params.keys + t) * D;
#for n VK
  if (lane + $nu * LANES < D) {
    k_cache[at + lane + $nu * LANES] = key.v$n;
    v_cache[at + lane + $nu * LANES] = value.v$n;
  }
#endfor
}
#endif
