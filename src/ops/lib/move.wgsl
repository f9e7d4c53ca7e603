// y[i] = x[source(i)] for the units of y, whatever their type; the including shader defines source(). A unit is one or
// more u32 words (WORDS) or one element of a type that is narrower than a word.
//   x -> y    consts: WORDS    params: size (units of y)
const NOWHERE = 0xffffffffu;  // what source() returns for units that become zero

#if WORDS
fn move_unit(i: u32) {
  if (i >= params.size) { return; }
  let at = source(i);
  if (at == NOWHERE) {
    y[i] = y_t();
  } else {
    y[i] = x[at];
  }
}
#else
fn y_at(i: u32) -> y_v {
  let at = source(i);
  if (at == NOWHERE) { return y_v(); }
  return x_get(at);
}

fn move_unit(i: u32) { y_emit(i); }
#endif
