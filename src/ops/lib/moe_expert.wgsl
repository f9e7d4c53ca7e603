// One projection of all experts: weights [expert][row][k] of BITS bits, of which a result has one row, or two where it
// is gated: neighbours (INTERLEAVED), n rows apart, or one in each of two matrices (SECOND).
//   w (words), scales? [expert][row][blocks], zeros? (words), bias? [expert][row]; w1, scales1?, ... (SECOND)
//   consts: BITS (2, 4, 8: QUANTISED; 16, 32: floats), HALVES (BITS == 16), WORDS (u32 of a load), WIDE (WORDS > 1),
//     words_t (its type), ALIGNED (rows are whole loads), GATED, INTERLEAVED, SECOND, ZEROS, ZEROS1, ANY_ZEROS,
//     BIAS, BIAS1; functions: activate(v), and gate(v, up) where GATED
//   params: n (results), row_runs (loads a row); QUANTISED: block_shift, blocks; !ALIGNED: k, row_bytes, last_word;
//     zeros: zero_row, zero_expert (bits)
#if QUANTISED
#include "lib/nbits.wgsl"
#endif

const RUN = WORDS * 32u / BITS;  // weights a load; never crosses a block
const SIDES = select(1u, 2u, GATED);

// Column v of the product: gated results have two each.
struct Row { matrix: u32, expert: u32, row: u32, index: u32 }

fn columns() -> u32 { return params.n * SIDES; }

fn row_of(expert: u32, column: u32) -> Row {
  let v = min(column, columns() - 1u);
  let side = v % SIDES;
  var r = Row(0u, expert, v / SIDES, 0u);
  if (SECOND) {
    r.matrix = side;
    r.index = expert * params.n + r.row;
    return r;
  }
  if (INTERLEAVED) { r.row = v; } else { r.row += side * params.n; }
  r.index = expert * columns() + r.row;
  return r;
}

#if WIDE
fn word(v: words_t, i: u32) -> u32 { return v[i]; }
#else
fn word(v: words_t, i: u32) -> u32 { return v; }
#endif

#if ALIGNED
fn load(r: Row, run: u32) -> words_t {
#if SECOND
  if (r.matrix == 1u) { return w1[r.index * params.row_runs + run]; }
#endif
  return w[r.index * params.row_runs + run];
}
#else
fn word_at(matrix: u32, i: u32) -> u32 {
  let at = min(i, params.last_word);
#if SECOND
  if (matrix == 1u) { return w1[at]; }
#endif
  return w[at];
}

// Four bytes from any address.
fn bytes_at(matrix: u32, byte: u32) -> u32 {
  let shift = byte % 4u * 8u;
  let low = word_at(matrix, byte / 4u) >> shift;
  if (shift == 0u) { return low; }
  return low | (word_at(matrix, byte / 4u + 1u) << (32u - shift));
}

fn load(r: Row, run: u32) -> words_t {
  let byte = r.index * params.row_bytes + run * WORDS * 4u;
#if WIDE
  var v = words_t();
  for (var i = 0u; i < WORDS; i++) { v[i] = bytes_at(r.matrix, byte + i * 4u); }
  return v;
#else
  return bytes_at(r.matrix, byte);
#endif
}
#endif

// Weights 4 j to 4 j + 3 of the load that begins at k: quantised ones as 1 + q / 2^BITS.
fn quad(v: words_t, j: u32, k: u32) -> vec4<f32> {
#if QUANTISED
  return q_quad(word(v, j * 4u / Q_PER_WORD), j * 4u % Q_PER_WORD);
#else
#if HALVES
  var f = vec4(unpack2x16float(word(v, j * 2u)), unpack2x16float(word(v, j * 2u + 1u)));
#else
  var f = bitcast<vec4<f32>>(vec4(word(v, 0u), word(v, 1u), word(v, 2u), word(v, 3u)));
#endif
  if (!ALIGNED) { f = select(vec4<f32>(), f, vec4(k + j * 4u) + vec4(0u, 1u, 2u, 3u) < vec4(params.k)); }
  return f;
#endif
}

#if QUANTISED
fn scale(r: Row, block: u32) -> f32 {
  let at = r.index * params.blocks + block;
#if SECOND
  if (r.matrix == 1u) { return scales1_get(at); }
#endif
  return scales_get(at);
}

// In units of q.
fn zero_point(r: Row, block: u32) -> f32 {
#if ZEROS1
  if (r.matrix == 1u) { return zero_field(zeros1[zero_bit(r, block) / 32u], r, block); }
#endif
#if ZEROS
  if (r.matrix == 0u) { return zero_field(zeros[zero_bit(r, block) / 32u], r, block); }
#endif
  return f32(1u << (BITS - 1u));
}
#if ANY_ZEROS
fn zero_bit(r: Row, block: u32) -> u32 {
  return r.expert * params.zero_expert + r.row * params.zero_row + block * BITS;
}
fn zero_field(word: u32, r: Row, block: u32) -> f32 {
  return f32((word >> (zero_bit(r, block) % 32u)) & ((1u << BITS) - 1u));
}
#endif
#endif

fn bias_of(r: Row) -> f32 {
#if BIAS1
  if (r.matrix == 1u) { return bias1_get(r.index); }
#endif
#if BIAS
  if (r.matrix == 0u) { return bias_get(r.index); }
#endif
  return 0.0;
}
