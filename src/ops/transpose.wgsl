// Turns axes a (contiguous in x) and b (contiguous in y) through a tile of storage words in workgroup memory; one
// workgroup a tile. The other axes are the batch. y[.., a * y_stride .. + b] = x[.. + b * x_stride .. + a].
//   x -> y (raw)    consts: BATCH_RANK, ROWS (of a tile), NARROW (several elements a word), ALIGNED (so are x's rows)
//   params: dims, x_strides, y_strides (batch axes, innermost first), size (of y), a_size, b_size, x_stride (of b in
//           x), y_stride (of a in y; b_size is a multiple of y_per_thread), tiles_a, tiles_b, groups
const WORDS = 32u;            // of a tile's row
const PITCH = WORDS + 1u;     // odd, so that a column falls into distinct banks
const COLUMNS = WORDS * y_per_thread;
var<workgroup> tile: array<x_t, ROWS * PITCH>;

// y_emit takes its elements from here: element `first` of y is (row, column) of the tile, the next ones lie below it.
var<private> first: u32;
var<private> row: u32;
var<private> column: u32;
fn y_at(i: u32) -> y_v {
  let word = tile[(row + i - first) * PITCH + column / y_per_thread];
#if NARROW
  return word >> (column % y_per_thread * (32u / y_per_thread));
#else
  return word;
#endif
}

// The word of x that starts at element i, which is a_left elements before its row's end.
fn x_word(i: u32, a_left: u32) -> x_t {
#if ALIGNED
  return x[i / y_per_thread];
#else
  var word = 0u;
  for (var k = 0u; k < min(y_per_thread, a_left); k++) { word |= x_get(i + k) << (k * (32u / y_per_thread)); }
  return word;
#endif
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_index(group);
  if (flat >= params.groups) { return; }
  let line = flat / params.tiles_b;
  let b0 = (flat - line * params.tiles_b) * ROWS;
  var batch = line / params.tiles_a;
  let a0 = (line - batch * params.tiles_a) * COLUMNS;
  var x_base = 0u;
  var y_base = 0u;
  for (var k = 0u; k < BATCH_RANK; k++) {
    let next = batch / dims_at(k);
    let c = batch - next * dims_at(k);
    x_base += c * x_strides_at(k);
    y_base += c * y_strides_at(k);
    batch = next;
  }

  let a = a0 + lane % WORDS * y_per_thread;
  for (var b = lane / WORDS; b < ROWS; b += 256u / WORDS) {
    if (a < params.a_size && b0 + b < params.b_size) {
      tile[b * PITCH + lane % WORDS] = x_word(x_base + a + (b0 + b) * params.x_stride, params.a_size - a);
    }
  }
  workgroupBarrier();
  const Y_WORDS = ROWS / y_per_thread;
  for (var k = lane; k < COLUMNS * Y_WORDS; k += 256u) {
    column = k / Y_WORDS;
    row = k % Y_WORDS * y_per_thread;
    if (a0 + column < params.a_size && b0 + row < params.b_size) {
      first = y_base + (a0 + column) * params.y_stride + b0 + row;
      y_emit(first / y_per_thread);
    }
  }
}
