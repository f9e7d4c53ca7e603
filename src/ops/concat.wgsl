// Elements [start, start + span) of each of y's lines: the lines of x0, x1, ... one after the other. Inputs are seen as
// words; a unit is a whole number of words (WORDS) or an element of BITS bits. With PARTIAL, the elements of y outside
// the range keep their value.
//   x0 .. x6 (words) -> y    consts: X0 .. X6 (the input exists), PARTIAL, those of lib/move
//   params: ends (of the inputs in the span), size (units of y, or, WORDS, of the span), start, span, line (of y)
fn piece(k: u32, word: u32) -> unit_t {
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

// The input that holds the last unit: unit i of y, up to run_end, is unit i + run_shift of x<run_input>.
var<private> run_end = 0u;
var<private> run_shift = 0u;
var<private> run_input = 0u;

// For position c in the span of line `outer`, which is unit i of y.
fn enter_run(i: u32, outer: u32, c: u32) {
  var k = 0u;
  var begin = 0u;
  while (c >= ends_at(k)) {
    begin = ends_at(k);
    k++;
  }
  run_input = k;
  run_end = i + ends_at(k) - c;
  run_shift = outer * (ends_at(k) - begin) + c - begin - i;
}

#if PARTIAL
#if WORDS
fn move_thread(i: u32) {
  if (i >= params.size) { return; }
  let outer = i / params.span;
  let c = i - outer * params.span;
  enter_run(i, outer, c);
  y[outer * params.line + params.start + c] = piece(run_input, i + run_shift);
}
#else
fn y_at(i: u32) -> y_v {
  let outer = i / params.line;
  let c = i - outer * params.line - params.start;
  if (c >= params.span) { return y_get(i); }
  enter_run(i, outer, c);
  return narrow(run_input, i + run_shift);
}
fn move_thread(i: u32) { y_emit(i); }
#endif
#else
#include "lib/move.wgsl"
fn unit_at(i: u32) -> unit_t {
  if (i >= run_end) {
    let outer = i / params.line;
    enter_run(i, outer, i - outer * params.line);
  }
#if WORDS
  return piece(run_input, i + run_shift);
#else
  return narrow(run_input, i + run_shift);
#endif
}
#endif

#if !WORDS
fn narrow(k: u32, i: u32) -> u32 {
  const PER_WORD = 32u / BITS;
  return extractBits(piece(k, i / PER_WORD), i % PER_WORD * BITS, BITS);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  move_thread(group_index(group) * 256u + lane);
}
