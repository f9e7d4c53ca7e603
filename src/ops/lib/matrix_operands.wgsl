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

fn word(words: w_t, i: u32) -> u32 {
#if WIDE
  return words[i];
#else
  return words;
#endif
}

// The weights of two fields, the lower first, as two f16: 0x6400 | q is 1024 + q, and offset is -zero point * scale.
fn pair(fields: u32, scale: f16, offset: f16) -> u32 {
  let q = (fields & MASK) | ((fields << (16u - BITS)) & (MASK << 16u)) | 0x64006400u;
  return bitcast<u32>(fma(bitcast<vec2<f16>>(q) - vec2(1024.0h), vec2(scale), vec2(offset)));
}

// A thread takes B_ITEMS octets of one column. They share a scale, since a block is no shorter than DEPTH.
fn stage_columns(base: u32, n0: u32, k0: u32, tid: u32) {
  let first = tid * B_ITEMS;
  let n = min(n0 + first / OCTETS, params.n - 1u);
  let k = k0 + first % OCTETS * 8u;
  let block = k / BLOCK;
  let scale = scales[n * params.blocks + block];
  let offset = f16(-zero_point(n, block) * f32(scale));
  let source = (n * params.blocks * BLOCK + k) * BITS / 32u / WORDS;
  let target_octet = first / OCTETS * ROW_K + first % OCTETS;
  for (var i = 0u; i < B_ITEMS / PER_LOAD; i++) {
    let words = w[source + i];
    for (var o = 0u; o < PER_LOAD; o++) {
      var octet = vec4<u32>();
      for (var j = 0u; j < 4u; j++) {
        let bit = (o * 8u + j * 2u) * BITS;
        octet[j] = pair(word(words, bit / 32u) >> (bit % 32u), scale, offset);
      }
      stage_b[target_octet + i * PER_LOAD + o] = octet;
    }
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
