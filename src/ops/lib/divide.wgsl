// x / y with the error of the quotient taken out once: WGSL's division may be 2.5 units in the last place off, which moves
// quotients halfway between two integers to the wrong one.
fn divide(x: f32, y: f32) -> f32 {
  let q = x / y;
  let better = q + fma(-q, y, x) / y;
  return select(q, better, abs(better) < 1.0e30);
}
