// Rotary embedding of x, seen as [batch, heads, seq, head size] with any strides of the first three: element pairs of the first
// 2 * half dimensions are rotated by the angle of their position, the rest is copied.
//   !INTERLEAVED: pairs (i, i + half);  INTERLEAVED: pairs (2 i, 2 i + 1)
// A position outside the caches leaves the vector as it is.
//   x, cos, sin, ids? -> y     V: f32 or vec4<f32>, the vector of a binding
//   lists: stride (vectors of x and y; batch, head, seq)
//   params: count (threads of work), items (units of work a head vector), half (vectors), seq, heads,
//           positions (rows of the caches), id_batch (ids of a batch entry; 0: one first position for all)

// Position of (b, s), or `positions` when it is outside the caches.
fn position(b: u32, s: u32) -> u32 {
#if IDS
  let id = ids_get(select(b * params.id_batch + s, 0u, params.id_batch == 0u));
  let at = id.x + select(0u, s, params.id_batch == 0u);
  return select(params.positions, min(at, params.positions), id.y == 0u);
#else
  return b * params.seq + s;
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let thread = group_index(group) * 64u + lane;
  if (thread >= params.count) { return; }
  let item = thread % params.items;
  let head = thread / params.items % params.heads;
  let s = thread / params.items / params.heads % params.seq;
  let b = thread / params.items / params.heads / params.seq;
  let at = b * stride_at(0u) + head * stride_at(1u) + s * stride_at(2u);
  if (item >= params.half) {
    let i = 2u * params.half + item - params.half;
    y[at + i] = y_t(x[at + i]);
    return;
  }
  let pos = position(b, s);
  var c = V(1.0);
  var d = V(0.0);
  if (pos < params.positions) {
    c = V(cos_cache[pos * params.half + item]);
    d = V(sin_cache[pos * params.half + item]);
  }
#if INTERLEAVED
#if VECTOR
  let first = V(x[at + 2u * item]);
  let second = V(x[at + 2u * item + 1u]);
  let re = V(first.xz, second.xz);
  let im = V(first.yw, second.yw);
  let r = re * c - im * d;
  let i = im * c + re * d;
  y[at + 2u * item] = y_t(V(r.x, i.x, r.y, i.y));
  y[at + 2u * item + 1u] = y_t(V(r.z, i.z, r.w, i.w));
#else
  let re = V(x[at + 2u * item]);
  let im = V(x[at + 2u * item + 1u]);
  y[at + 2u * item] = y_t(re * c - im * d);
  y[at + 2u * item + 1u] = y_t(im * c + re * d);
#endif
#else
  let re = V(x[at + item]);
  let im = V(x[at + item + params.half]);
  y[at + item] = y_t(re * c - im * d);
  y[at + item + params.half] = y_t(im * c + re * d);
#endif
}
