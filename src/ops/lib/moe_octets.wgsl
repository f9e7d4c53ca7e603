// What moe_matrix.wgsl multiplies, eight f16 (a vec4<u32>) at a time. Needs lib/moe_expert.wgsl.
//   consts: FROM_F32 (x is f32, scaled by the power of two that brings its row's peak to 2^14), LOADS (of weights, a
//     thread and step), BITS_2, BITS_4, BITS_8

// x of eight elements from k.
#if FROM_F32
fn halves(v: vec4<f32>, factor: f32) -> vec2<u32> {
  return vec2(pack2x16float(factor * v.xy), pack2x16float(factor * v.zw));
}
fn a_octet(row: u32, k: u32, factor: f32) -> vec4<u32> {
  let at = (row * params.k + k) / 4u;
  return vec4(halves(x[at], factor), halves(x[at + 1u], factor));
}
#else
fn a_octet(row: u32, k: u32, factor: f32) -> vec4<u32> { return x[(row * params.k + k) / 8u]; }
#endif

// What a thread loads at a time: LOADS of words_t.
struct Loads {
#for i LOADS
  v$i: words_t,
#endfor
}

// A thread's weights from k, which is a multiple of theirs.
fn load_octets(r: Row, k: u32) -> Loads {
  var v = Loads();
#for i LOADS
  v.v$i = load(r, k / RUN + $iu);
#endfor
  return v;
}

#if QUANTISED
const MASK = (1u << BITS) - 1u;

struct Block { scale: vec2<f16>, middle: vec2<f16> }  // middle: 1024 + zero point

fn block_of(r: Row, k: u32) -> Block {
  let block = k >> params.block_shift;
  return Block(vec2(f16(scale(r, block))), vec2(f16(1024.0 + zero_point(r, block))));
}

// The weights of the two lowest fields, the lower first: 0x6400 | q is 1024 + q.
fn pair(fields: u32, b: Block) -> u32 {
  let q = (fields & MASK) | ((fields << (16u - BITS)) & (MASK << 16u)) | 0x64006400u;
  return bitcast<u32>((bitcast<vec2<f16>>(q) - b.middle) * b.scale);
}

#if BITS_8
fn octet(low: u32, high: u32, b: Block) -> vec4<u32> {
  return vec4(pair(low, b), pair(low >> 16u, b), pair(high, b), pair(high >> 16u, b));
}
#else
fn octet(w: u32, b: Block) -> vec4<u32> {
  return vec4(pair(w, b), pair(w >> (2u * BITS), b), pair(w >> (4u * BITS), b), pair(w >> (6u * BITS), b));
}
#endif
#else
struct Block { unused: u32 }
fn block_of(r: Row, k: u32) -> Block { return Block(0u); }
#endif

// Puts a thread's octets into the staged memory of B, from place `at`.
fn stage_octets(at: u32, v: Loads, b: Block) {
#for i LOADS
#if HALVES
  stage_b[at + $iu] = v.v$i;
#else
#for j WORDS
#if BITS_2
  stage_b[at + 2u * $ju] = octet(word(v.v$i, $ju), b);
  stage_b[at + 2u * $ju + 1u] = octet(word(v.v$i, $ju) >> 16u, b);
#endif
#if BITS_4
  stage_b[at + $ju] = octet(word(v.v$i, $ju), b);
#endif
#endfor
#if BITS_8
  stage_b[at + 2u * $iu] = octet(word(v.v$i, 0u), word(v.v$i, 1u), b);
  stage_b[at + 2u * $iu + 1u] = octet(word(v.v$i, 2u), word(v.v$i, 3u), b);
#endif
#endif
#endfor
}
