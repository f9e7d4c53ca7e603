// Elements [start, start + span) of each of y's lines: the lines of x0, x1, ... one after the other. Everything is seen
// as words; WORDS: a unit is a whole number of words, else an element of BITS bits, and the elements of y outside the
// range keep their value.
//   x0 .. x6 (words) -> y (words)    consts: X0 .. X6 (the input exists), WORDS, BITS
//   params: ends (of the inputs in the span), size (units to write; !WORDS: elements of y), start, span, line (of y)
fn piece(k: u32, word: u32) -> y_t {
  switch (k) {
#if X1
    case 1u: { return x1[word]; }
#endif
#if X2
    case 2u: { return x2[word]; }
#endif
#if X3
    case 3u: { return x3[word]; }
#endif
#if X4
    case 4u: { return x4[word]; }
#endif
#if X5
    case 5u: { return x5[word]; }
#endif
#if X6
    case 6u: { return x6[word]; }
#endif
    default: { return x0[word]; }
  }
}

// The input that holds position c of the span, and where in it: line `outer`.
fn find(outer: u32, c: u32) -> vec2<u32> {
  var k = 0u;
  var begin = 0u;
  while (c >= ends_at(k)) {
    begin = ends_at(k);
    k++;
  }
  return vec2(k, outer * (ends_at(k) - begin) + c - begin);
}

#if WORDS
fn write(i: u32) {
  if (i >= params.size) { return; }
  let outer = i / params.span;
  let c = i - outer * params.span;
  let at = find(outer, c);
  y[outer * params.line + params.start + c] = piece(at.x, at.y);
}
#else
const PER_WORD = 32u / BITS;
const MASK = (1u << BITS) - 1u;

fn write(word: u32) {
  let first = word * PER_WORD;
  if (first >= params.size) { return; }
  var bits = select(0u, y[word], params.span != params.line);
  for (var k = 0u; k < min(PER_WORD, params.size - first); k++) {
    let outer = (first + k) / params.line;
    let c = first + k - outer * params.line - params.start;
    if (c >= params.span) { continue; }
    let at = find(outer, c);
    let element = (piece(at.x, at.y / PER_WORD) >> (at.y % PER_WORD * BITS)) & MASK;
    bits = insertBits(bits, element, k * BITS, BITS);
  }
  y[word] = bits;
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  write(group_index(group) * 256u + lane);
}
