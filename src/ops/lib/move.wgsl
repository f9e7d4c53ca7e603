// Writes y unit by unit: unit i is unit_at(i), which the including shader defines. A unit is one, two or four u32 words,
// or one element that is narrower than a word. With QUADS a thread writes 16 bytes, calling unit_at in ascending order
// (so that a shader can keep what consecutive units share), else one unit or, for narrow elements, one word.
//   -> y (QUADS: four words; WORDS: a unit; else the raw type)
//   consts: unit_t, WORDS (a unit is whole words), PAIRS (it is two), BITS (of a narrow element, else 32), QUADS
//   params: size (units of y)
#if QUADS
#if PAIRS
fn move_thread(i: u32) {
  if (2u * i < params.size) { y[i] = vec4(unit_at(2u * i), unit_at(2u * i + 1u)); }
}
#else
const UNITS_PER_WORD = 32u / BITS;
fn move_thread(i: u32) {
  var next = i * 4u * UNITS_PER_WORD;
  if (next >= params.size) { return; }
  var quad = vec4<u32>();
  for (var w = 0u; w < 4u; w++) {
    for (var k = 0u; k < UNITS_PER_WORD; k++) {
      quad[w] |= unit_at(next) << (k * BITS);
      next++;
    }
  }
  y[i] = quad;
}
#endif
#else
#if WORDS
fn move_thread(i: u32) {
  if (i < params.size) { y[i] = unit_at(i); }
}
#else
fn y_at(i: u32) -> y_v { return unit_at(i); }
fn move_thread(i: u32) { y_emit(i); }
#endif
#endif
