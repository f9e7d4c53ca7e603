// Head vectors of q and k as attention wants them: normalised (QK_NORM) and rotated (ROTARY, INTERLEAVED;
// ROPE_FIRST: the first vector of a head that is).
//   bindings q, k, cos_cache, sin_cache, ids, q_norm, k_norm of one vector type; params.half (vectors), params.positions
// `kind` is 0 for q and 1 for k; `at` is the first vector of a head, `i` a vector in it.
fn raw(kind: u32, i: u32) -> V {
  if (kind == 0u) { return V(q[i]); }
  return V(k[i]);
}

fn normed(kind: u32, at: u32, i: u32, scale: f32) -> V {
#if QK_NORM
  if (kind == 0u) { return raw(kind, at + i) * scale * V(q_norm[i]); }
  return raw(kind, at + i) * scale * V(k_norm[i]);
#else
  return raw(kind, at + i);
#endif
}

fn rotated(kind: u32, at: u32, i: u32, pos: u32, scale: f32) -> V {
  let v = normed(kind, at, i, scale);
#if ROTARY
  let j = i - ROPE_FIRST;
  if (i < ROPE_FIRST || j >= 2u * params.half || pos >= params.positions) { return v; }
#if INTERLEAVED
  // Vector j holds the pairs 2 j and 2 j + 1, whose angles are half a vector of the caches.
  let angle = pos * params.half + j / 2u;
  let c = V(cos_cache[angle]);
  let d = V(sin_cache[angle]);
  if (j % 2u == 0u) { return v * c.xxyy + V(-v.y, v.x, -v.w, v.z) * d.xxyy; }
  return v * c.zzww + V(-v.y, v.x, -v.w, v.z) * d.zzww;
#else
  let upper = j >= params.half;
  let angle = pos * params.half + select(j, j - params.half, upper);
  let partner = normed(kind, at, select(i + params.half, i - params.half, upper), scale);
  return v * V(cos_cache[angle]) + select(-partner, partner, upper) * V(sin_cache[angle]);
#endif
#else
  return v;
#endif
}

fn position(b: u32, s: u32, past: u32) -> u32 {
#if IDS
  let id = ids[b * params.seq + s];
  return select(id.x, 0xffffffffu, id.y != 0u);
#else
  return past + s;
#endif
}
