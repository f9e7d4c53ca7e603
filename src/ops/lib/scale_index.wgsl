// The scale (and zero point) of element i: one for all (ONE), one for each coordinate of an axis (PER_AXIS), or one for
// each block of coordinates of an axis at each place of the other axes.
//   consts: ONE, PER_AXIS    params: dim, stride (of the axis), block, blocks
fn scale_index(i: u32) -> u32 {
  if (ONE) { return 0u; }
  let line = i / params.stride;
  let outer = line / params.dim;
  let c = line - outer * params.dim;
  if (PER_AXIS) { return c; }
  return (outer * params.blocks + c / params.block) * params.stride + (i - line * params.stride);
}
