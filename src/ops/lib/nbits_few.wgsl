// What the kernels of few rows read and write: one of up to three weights.
#include "lib/nbits_weights.wgsl"

const RUN = WORDS * Q_PER_WORD;  // weights a load; never crosses a block

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
