// What attention_matrix takes from memory and what it makes of raw scores: its H8, LOWEST and LOG2_E.

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

// Scores of keys t to t + 3, without those that the row does not see.
fn masked(x: vec4<f32>, b: u32, head: u32, s: u32, t: u32, seen: Keys) -> vec4<f32> {
#if PLAIN_SCORES
  let seen_by = vec4(sees(s, t, seen.past, seen.end), sees(s, t + 1u, seen.past, seen.end),
                     sees(s, t + 2u, seen.past, seen.end), sees(s, t + 3u, seen.past, seen.end));
  return select(vec4(LOWEST), max(x, vec4(-1e38)), seen_by);
#else
  var v = x;
  for (var e = 0u; e < 4u; e++) {
    let score = score_of(v[e] / LOG2_E, b, head, s, t + e, seen.past, seen.end);
    v[e] = select(max(score, -1e38) * LOG2_E, LOWEST, score == LOWEST);
  }
  return v;
#endif
}
