// Keys and values of attention, whatever keeps them: vectors of four elements, as numbers. `row` is where the row of a
// token begins and `i` a vector of it, both in vectors, which is also what strides count.
//   k_cache, v_cache (or k_cache alone)    consts: KV_PACKED, KV_SCALED, KV4, VALUES (bool), D (vectors of a head)
//   !KV_PACKED: elements, bound a vector V at a time.
//   KV_PACKED: words. A row is the bits of an f32, then a number an element, of 8 bits (KV4: 4), the first one lowest.
//     8 bits: element = f32 * signed number; f32 = largest magnitude / 127. KV_SCALED: there is no f32, it is 1.
//     4 bits: element = f32 / sqrt(head) * level_of(number), of a row turned as lib/kv_pack.wgsl says; f32 = L2 norm.
#if KV_PACKED
alias key_part = u32;
alias value_part = u32;
const PER_WORD = select(1u, 2u, KV4);      // vectors
const HEADER = select(PER_WORD, 0u, KV_SCALED);       // vectors that the f32 takes the room of
const ROW_PARTS = (D + HEADER) / PER_WORD;  // of a row, which is as many words
const ROW_VECTORS = D + HEADER;

fn word_of(row: u32, i: u32) -> u32 { return (row + HEADER + i) / PER_WORD; }

#if KV4
// The number n of 4 bits stands for x (a + b x^2 + c x^4 + d x^6), x = n - 7.5: the 16 levels of that form with the
// least expected squared error for the unit Gaussian, 0.0095019. Free levels, the Lloyd-Max centroids, reach 0.0095010
// and differ by 0.0025 at most. Here `z` is x / 16.
fn level_of(z: V) -> V {
  let square = z * z;
  return z * (((129.123607 * square - 16.9569853) * square + 5.45454892) * square + 4.07894293);
}

// The numbers of 4 bits in the lower half of `word`, the bits 19 to 22 of floats from 1 to 2.
fn levels(word: u32) -> V {
  let bits = ((vec4(word) << vec4(19u, 15u, 11u, 7u)) & vec4(0x780000u)) | vec4(0x3f800000u);
  return level_of(bitcast<V>(bits) - 1.46875);
}
#endif

// Vector i of a row with this word; its elements are these times the row's factor.
fn numbers_of(word: u32, i: u32) -> V {
#if KV4
  return levels(word >> (i % 2u * 16u));
#else
  return V(unpack4xI8(word));
#endif
}

fn factor_of(word: u32) -> f32 {
  return bitcast<f32>(word) * select(1.0, inverseSqrt(4.0 * f32(D)), KV4);
}

fn key_part_at(row: u32, i: u32) -> key_part { return k_cache[word_of(row, i)]; }
fn key_header(row: u32) -> u32 {
#if KV_SCALED
  return 0x3f800000u;
#else
  return k_cache[row / PER_WORD];
#endif
}
fn key_vector(row: u32, i: u32) -> V { return numbers_of(key_part_at(row, i), i) * factor_of(key_header(row)); }
#if VALUES
fn value_part_at(row: u32, i: u32) -> value_part { return v_cache[word_of(row, i)]; }
fn value_header(row: u32) -> u32 {
#if KV_SCALED
  return 0x3f800000u;
#else
  return v_cache[row / PER_WORD];
#endif
}
fn value_vector(row: u32, i: u32) -> V { return numbers_of(value_part_at(row, i), i) * factor_of(value_header(row)); }
#endif
#else
alias key_part = k_cache_t;
const ROW_PARTS = D;
const ROW_VECTORS = D;

fn key_part_at(row: u32, i: u32) -> key_part { return k_cache[row + i]; }
fn key_vector(row: u32, i: u32) -> V { return V(key_part_at(row, i)); }
#if VALUES
alias value_part = v_cache_t;

fn value_part_at(row: u32, i: u32) -> value_part { return v_cache[row + i]; }
fn value_vector(row: u32, i: u32) -> V { return V(value_part_at(row, i)); }
#endif
#endif
