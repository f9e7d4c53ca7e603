// Query rows, keys and values for attention_decode: its Query, Key and Value. Lane `lane` of a team holds vectors lane,
// lane + LANES, ... of a row.
// What a thread holds of a key, of a value, and of the queries of all rows, element by element.
#if KV_PACKED
alias Key = Packed;
alias Value = Packed;
#else
struct Key {
#for n VK
  v$n: key_part,
#endfor
}
struct Value {
#for n VV
  v$n: value_part,
#endfor
}
#endif
struct Query {
#for n VK
  x$n: R,
  y$n: R,
  z$n: R,
  w$n: R,
#endfor
}
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
    let at = token_of(p, s) * params.q_row + head_of(p, $ru) * D;
    let scale = head_scale(0u, at, lane);
#else
    let at = p.b * q_stride_at(0u) + head_of(p, $ru) * q_stride_at(1u) + query_row(p.b, s) * q_stride_at(2u) +
             q_stride_at(3u);
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
#if FUSED
#if KV4
    {
      var line = Line();
#for n VK
      line[$n] = v$n_$r;
#endfor
      line = turned(line, lane);
#for n VK
      v$n_$r = line[$n];
#endfor
    }
#endif
#endif
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

// Vectors before the row of key t; one outside the tensor becomes some other row.
#if FUSED
fn row_in(capacity: u32, p: Place, t: u32, size: u32) -> u32 {
#if PAGED
  return (row_of_key(p.b, min(t, capacity - 1u)) * KV_HEADS + p.kv_head) * size;
#else
  return ((p.b * KV_HEADS + p.kv_head) * capacity + min(t, max(capacity, 1u) - 1u)) * size;
#endif
}
#endif

fn key_row(p: Place, t: u32) -> u32 {
#if GROW
  return row_in(params.past_rows, p, t, ROW_VECTORS);
#else
#if FUSED
  return row_in(params.keys, p, t, ROW_VECTORS);
#else
  return p.b * k_stride_at(0u) + p.kv_head * k_stride_at(1u) +
         row_of_key(p.b, min(t, params.keys - 1u)) * k_stride_at(2u) + k_stride_at(3u);
#endif
#endif
}

fn value_row(p: Place, t: u32) -> u32 {
#if FUSED
  return key_row(p, t);
#else
  return p.b * v_stride_at(0u) + p.kv_head * v_stride_at(1u) +
         row_of_key(p.b, min(t, params.keys - 1u)) * v_stride_at(2u) + v_stride_at(3u);
#endif
}

fn load_key(p: Place, t: u32, lane: u32) -> Key {
  var key = Key();
  let at = key_row(p, t);
#for n VK
  key.v$n = key_part_at(at, vector_of(lane, $nu, D));
#endfor
#if KV_PACKED
  key.header = key_header(at);
#endif
  return key;
}

fn load_value(p: Place, t: u32, lane: u32) -> Value {
  var value = Value();
  let at = value_row(p, t);
#for n VV
  value.v$n = value_part_at(at, vector_of(lane, $nu, DV));
#endfor
#if KV_PACKED
  value.header = value_header(at);
#endif
  return value;
}

#if FUSED
// Vector 0 of the new row for key t, the last one for those beyond it, in k and v without their offsets.
fn new_row(p: Place, t: u32) -> u32 {
  let s = min(t - p.keys.past, new_rows(p) - 1u);
#if PAGED
  return token_of(p, s) * params.kv_row + p.kv_head * D;
#else
  return (p.b * params.kv_seq + s) * params.kv_row + p.kv_head * D;
#endif
}

fn new_key(p: Place, t: u32, lane: u32) -> Key {
  let at = new_row(p, t) + params.first_k;
  let s = min(t - p.keys.past, new_rows(p) - 1u);
  let scale = head_scale(1u, at, lane);
#for n VK
  let x$n = rotated(1u, at, vector_of(lane, $nu, D), position(p.b, s, p.keys.past), scale);
#endfor
#if KV_PACKED
  var line = Line();
#for n VK
  line[$n] = select(V(), x$n, lane + $nu * LANES < D);
#endfor
  return packed(turned(line, lane), lane);
#else
  var key = Key();
#for n VK
  key.v$n = key_part(x$n);
#endfor
  return key;
#endif
}

fn new_value(p: Place, t: u32, lane: u32) -> Value {
  let at = new_row(p, t) + params.first_v;
#if KV_PACKED
  var line = Line();
#for n VV
  line[$n] = select(V(), V(v[at + vector_of(lane, $nu, DV)]), lane + $nu * LANES < DV);
#endfor
  return packed(turned(line, lane), lane);
#else
  var value = Value();
#for n VV
  value.v$n = value_part(v[at + vector_of(lane, $nu, DV)]);
#endfor
  return value;
#endif
}

#if GROW
fn put_key(at: u32, part: key_part) { k_new[at] = part; }
fn put_value(at: u32, part: value_part) { v_new[at] = part; }
#else
fn put_key(at: u32, part: key_part) { k_cache[at] = part; }
fn put_value(at: u32, part: value_part) { v_cache[at] = part; }
#endif

// Key and value t into the caches, whose number of rows is params.keys.
fn store(p: Place, t: u32, lane: u32, key: Key, value: Value) {
#if PAGED
  if (block_of(p.b, t) >= params.pool) { return; }
#endif
  let at = row_in(params.keys, p, t, ROW_VECTORS);
#if KV_PACKED
  if (lane == 0u) {
    put_key(at / PER_WORD, key.header);
    put_value(at / PER_WORD, value.header);
  }
#endif
#for n VK
  if (lane + $nu * LANES < D) {
#if KV_PACKED
    // Lanes that share a word hold the same one.
    put_key(word_of(at, lane + $nu * LANES), key.v$n);
    put_value(word_of(at, lane + $nu * LANES), value.v$n);
#else
    put_key(at + lane + $nu * LANES, key.v$n);
    put_value(at + lane + $nu * LANES, value.v$n);
#endif
  }
#endfor
}
#endif
