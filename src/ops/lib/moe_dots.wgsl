// Products of loads with x, as sums of dequantised weights. Needs lib/moe_expert.wgsl.

// acc + dot(a, b) as four fused operations.
fn chain(a: vec4<f32>, b: vec4<f32>, acc: f32) -> f32 {
  return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, acc))));
}

// What a load's fields and its x add to a sum: factor * (dots - zero * x).
struct Weighing { factor: f32, zero: f32 }

fn weighing(r: Row, k: u32) -> Weighing {
#if QUANTISED
  let block = k >> params.block_shift;
  let factor = scale(r, block);
  return Weighing(factor * Q_SPAN, 1.0 + zero_point(r, block) / Q_SPAN);
#else
  return Weighing(1.0, 0.0);
#endif
}
