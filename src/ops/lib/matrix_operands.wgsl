// Operands of gemm_matrix: from memory into registers, from registers into workgroup memory, results out.
fn batch_base(batch: u32, of_a: bool) -> u32 {
  var rest = batch;
  var base = 0u;
  for (var d = BATCH_RANK; d > 0u; d--) {
    let i = rest % batch_at(d - 1u);
    rest /= batch_at(d - 1u);
    base += i * select(b_batch_at(d - 1u), a_batch_at(d - 1u), of_a);
  }
  return base;
}

// Rows beyond M repeat the last one (their results are not written); octets beyond K are zero.
fn stage_rows(base: u32, m0: u32, k0: u32, tid: u32) {
  for (var i = 0u; i < A_ITEMS; i++) {
    let at = i * WG + tid;
    let k = k0 + at % OCTETS * 8u;
    var item = vec4<u32>();
    if (k < params.k) { item = a[(base + min(m0 + at / OCTETS, params.m - 1u) * params.a_m + k) / 8u]; }
    stage_a[at / OCTETS * ROW_K + at % OCTETS] = item;
  }
}

fn left(m: u32, k: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&stage_a, m * ROW_K + k / 8u, ROW_K);
}

#if NBITS
const MASK = (1u << BITS) - 1u;
const PER_LOAD = WORDS * 4u / BITS;  // octets

fn zero_point(n: u32, block: u32) -> f32 {
#if ZEROS_U8
  let bit = block * BITS;
  let byte = n * ((params.blocks * BITS + 7u) / 8u) + bit / 8u;
  return f32((zeros[byte / 4u] >> (8u * (byte % 4u) + bit % 8u)) & MASK);
#else
#if ZEROS_T
  return f32(zeros[n * params.blocks + block]);
#else
  return f32(1u << (BITS - 1u));
#endif
#endif
}

// The weights of two fields, the lower first, as two f16: 0x6400 | q is 1024 + q, and offset is -zero point * scale.
fn pair(fields: u32, scale: vec2<f16>, offset: vec2<f16>) -> u32 {
  let q = (fields & MASK) | ((fields << (16u - BITS)) & (MASK << 16u)) | 0x64006400u;
  return bitcast<u32>(fma(bitcast<vec2<f16>>(q) - vec2(1024.0h), scale, offset));
}

// Eight weights: of the word `low` (4 bits), of its lower half (2 bits), or of two words (8 bits).
fn octet(low: u32, high: u32, scale: vec2<f16>, offset: vec2<f16>) -> vec4<u32> {
  if (BITS == 8u) {
    return vec4(pair(low, scale, offset), pair(low >> 16u, scale, offset), pair(high, scale, offset),
                pair(high >> 16u, scale, offset));
  }
  return vec4(pair(low, scale, offset), pair(low >> (2u * BITS), scale, offset), pair(low >> (4u * BITS % 32u), scale, offset),
              pair(low >> (6u * BITS % 32u), scale, offset));
}

// A thread takes B_ITEMS octets of one column. They share a scale, since a block is no shorter than DEPTH. Words are
// named one by one: indexed ones would not stay in registers.
fn stage_columns(base: u32, n0: u32, k0: u32, tid: u32) {
  let first = tid * B_ITEMS;
  let n = min(n0 + first / OCTETS, params.n - 1u);
  let k = k0 + first % OCTETS * 8u;
  let block = k / BLOCK;
  let scale = vec2(scales[n * params.blocks + block]);
  let offset = vec2(f16(-zero_point(n, block) * f32(scale.x)));
  let source = (n * params.blocks * BLOCK + k) * BITS / 32u / WORDS;
  let place = first / OCTETS * ROW_K + first % OCTETS;
  for (var i = 0u; i < B_ITEMS / PER_LOAD; i++) {
    let v = w[source + i];
    let at = place + i * PER_LOAD;
#if BITS_8
    stage_b[at] = octet(v.x, v.y, scale, offset);
    stage_b[at + 1u] = octet(v.z, v.w, scale, offset);
#endif
#if BITS_4
    stage_b[at] = octet(v.x, 0u, scale, offset);
    stage_b[at + 1u] = octet(v.y, 0u, scale, offset);
#if WORDS_4
    stage_b[at + 2u] = octet(v.z, 0u, scale, offset);
    stage_b[at + 3u] = octet(v.w, 0u, scale, offset);
#endif
#endif
#if BITS_2
#if WIDE
    stage_b[at] = octet(v.x, 0u, scale, offset);
    stage_b[at + 1u] = octet(v.x >> 16u, 0u, scale, offset);
    stage_b[at + 2u] = octet(v.y, 0u, scale, offset);
    stage_b[at + 3u] = octet(v.y >> 16u, 0u, scale, offset);
#else
    stage_b[at] = octet(v, 0u, scale, offset);
    stage_b[at + 1u] = octet(v >> 16u, 0u, scale, offset);
#endif
#endif
  }
}
#else
fn stage_columns(base: u32, n0: u32, k0: u32, tid: u32) {
  for (var i = 0u; i < B_ITEMS; i++) {
    let at = i * WG + tid;
    var item = vec4<u32>();
#if B_ALONG_N
    let k = k0 + at / (TILE_N / 8u);
    let n = n0 + at % (TILE_N / 8u) * 8u;
    if (k < params.k && n < params.n) { item = b[(base + k * params.b_k + n) / 8u]; }
    stage_b[at / (TILE_N / 8u) * ROW_N + at % (TILE_N / 8u)] = item;
#else
    let k = k0 + at % OCTETS * 8u;
    if (k < params.k) { item = b[(base + min(n0 + at / OCTETS, params.n - 1u) * params.b_n + k) / 8u]; }
    stage_b[at / OCTETS * ROW_K + at % OCTETS] = item;
#endif
  }
}
#endif

fn right(n: u32, k: u32) -> Right {
#if B_ALONG_N
  return subgroupMatrixLoad<Right, row_major>(&stage_b, k * ROW_N + n / 8u, ROW_N);
#else
  return subgroupMatrixLoad<Right, col_major>(&stage_b, n * ROW_K + k / 8u, ROW_K);
#endif
}

fn result(batch: u32, m: u32, n: u32, value: f32) {
  if (m >= params.m || n >= params.n) { return; }
  var v = params.alpha * value;
#if BIAS
  v += params.beta * f32(bias[m * params.bias_m + n * params.bias_n]);
#endif
  y[(batch * params.m + m) * params.n + n] = y_t(v);
}
