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

// A thread stages octets of one place along K (tid % OCTETS) from rows WG / OCTETS apart. Rows beyond M repeat the last
// one (their results are not written); beyond K are zeros.
fn a_row(base: u32, m0: u32, tid: u32, i: u32) -> u32 {
  return (base + min(m0 + tid / OCTETS + i * (WG / OCTETS), params.m - 1u) * params.a_m) / 8u + tid % OCTETS;
}

fn a_item(row: u32, k0: u32, inside: bool) -> vec4<u32> {
  return select(vec4<u32>(), a[select(0u, row + k0 / 8u, inside)], inside);
}

fn put_a(tid: u32, i: u32, item: vec4<u32>) { stage_a[(tid / OCTETS + i * (WG / OCTETS)) * ROW_K + tid % OCTETS] = item; }

fn left(m: u32, k: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&stage_a, m * ROW_K + k / 8u, ROW_K);
}

#if NBITS
const MASK = (1u << BITS) - 1u;

// A thread takes B_ITEMS octets of one column, which share a scale, since a block is no shorter than DEPTH.
struct Block {
  scale: vec2<f16>,
  offset: vec2<f16>,  // -zero point * scale
}

fn column_of(n0: u32, tid: u32) -> u32 { return min(n0 + tid * B_ITEMS / OCTETS, params.n - 1u); }

fn b_words(column: u32, k: u32, i: u32) -> w_t {
  return w[(column * params.blocks * BLOCK + k) * BITS / 32u / WORDS + i];
}

fn b_block(column: u32, k: u32) -> Block {
  let scale = scales[column * params.blocks + k / BLOCK];
  return Block(vec2(scale), vec2(f16(-zero_point(column, k / BLOCK) * f32(scale))));
}

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

// The weights of two fields, the lower first, as two f16: 0x6400 | q is 1024 + q.
fn pair(fields: u32, b: Block) -> u32 {
  let q = (fields & MASK) | ((fields << (16u - BITS)) & (MASK << 16u)) | 0x64006400u;
  return bitcast<u32>(fma(bitcast<vec2<f16>>(q) - vec2(1024.0h), b.scale, b.offset));
}

// Octet `i` of a thread: from one word (4 bits), the lower half of it (2 bits), or two words (8 bits).
fn put_b(tid: u32, i: u32, low: u32, high: u32, b: Block) {
  let at = tid * B_ITEMS + i;
  var item = vec4(pair(low, b), pair(low >> (2u * BITS), b), pair(low >> (4u * BITS % 32u), b),
                  pair(low >> (6u * BITS % 32u), b));
  if (BITS == 8u) { item = vec4(pair(low, b), pair(low >> 16u, b), pair(high, b), pair(high >> 16u, b)); }
  stage_b[at / OCTETS * ROW_K + at % OCTETS] = item;
}
#else
// Octet i of a thread, along N (rows of K) or along K (rows of N).
#if B_ALONG_N
const B_WIDE = TILE_N / 8u;
fn b_row(base: u32, n0: u32, tid: u32, i: u32) -> u32 {
  return (base + (tid / B_WIDE + i * (WG / B_WIDE)) * params.b_k + n0) / 8u + tid % B_WIDE;
}

fn b_item(row: u32, n0: u32, k0: u32, tid: u32, i: u32) -> vec4<u32> {
  let inside = k0 + tid / B_WIDE + i * (WG / B_WIDE) < params.k && n0 + tid % B_WIDE * 8u < params.n;
  return select(vec4<u32>(), b[select(0u, row + k0 * params.b_k / 8u, inside)], inside);
}

fn put_b(tid: u32, i: u32, item: vec4<u32>) { stage_b[(tid / B_WIDE + i * (WG / B_WIDE)) * ROW_N + tid % B_WIDE] = item; }
#else
fn b_row(base: u32, n0: u32, tid: u32, i: u32) -> u32 {
  return (base + min(n0 + tid / OCTETS + i * (WG / OCTETS), params.n - 1u) * params.b_n) / 8u + tid % OCTETS;
}

fn b_item(row: u32, n0: u32, k0: u32, tid: u32, i: u32) -> vec4<u32> {
  let inside = k0 + tid % OCTETS * 8u < params.k;
  return select(vec4<u32>(), b[select(0u, row + k0 / 8u, inside)], inside);
}

fn put_b(tid: u32, i: u32, item: vec4<u32>) { stage_b[(tid / OCTETS + i * (WG / OCTETS)) * ROW_K + tid % OCTETS] = item; }
#endif
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
