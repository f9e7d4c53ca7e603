// The scale (and zero point) of element i: one for all (ONE), one for each coordinate of an axis (PER_AXIS), or one for
// each block of coordinates of an axis at each place of the other axes. Cheap for calls in ascending order.
//   consts: ONE, PER_AXIS    params: dim, stride (of the axis), block, blocks

// The run that the last element lay in: element i, from run_first up to run_end, has scale run_at + (i - run_first) *
// run_step.
var<private> run_first = 0u;
var<private> run_end = 0u;
var<private> run_at = 0u;
var<private> run_step = 0u;

fn enter_run(i: u32) {
  let line = i / params.stride;
  let outer = line / params.dim;
  let c = line - outer * params.dim;
  run_first = i;
  run_end = (line + 1u) * params.stride;
  if (PER_AXIS) {
    run_at = c;
    run_step = select(0u, 1u, params.stride == 1u);
    if (params.stride == 1u) { run_end = i + params.dim - c; }
  } else {
    let block = c / params.block;
    run_at = (outer * params.blocks + block) * params.stride + (i - line * params.stride);
    run_step = select(1u, 0u, params.stride == 1u);
    if (params.stride == 1u) { run_end = i + min((block + 1u) * params.block, params.dim) - c; }
  }
}

fn scale_index(i: u32) -> u32 {
  if (ONE) { return 0u; }
  if (i >= run_end) { enter_run(i); }
  return run_at + (i - run_first) * run_step;
}
