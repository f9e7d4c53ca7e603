// What the kernels of few rows read and write: one of up to three weights.
#include "lib/nbits_weights.wgsl"

const RUN = WORDS * Q_PER_WORD;  // weights a load; never crosses a block
const WEIGHTS = select(1u, 2u, GATED);  // that share a result

// Where column c of a team lies.
struct Place { matrix: u32, first: u32, count: u32 }
fn source(p: Place, c: u32) -> u32 { return select(p.matrix, c % WEIGHTS, GATED); }
fn column(p: Place, c: u32) -> Column { return column_of(min(p.first + c / WEIGHTS, p.count - 1u), p.count); }

fn store(matrix: u32, at: u32, v: f32) {
#if TWO
#if !GATED
  if (matrix == 1u) { y1_put(at, v); return; }
#endif
#endif
#if THREE
  if (matrix == 2u) { y2_put(at, v); return; }
#endif
  y_put(at, v);
}
