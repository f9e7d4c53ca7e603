// Turns axes a (contiguous in x) and b (contiguous in y) through a 32 x 32 tile in workgroup memory; one workgroup a
// tile. The other axes are the batch. y[.., a * y_stride .. + b] = x[.. + b * x_stride .. + a].
//   x -> y    consts: BATCH_RANK
//   params: dims, x_strides, y_strides (batch axes, innermost first), size (of y), a_size, b_size, x_stride (of b in x),
//           y_stride (of a in y; b_size is a multiple of y_per_thread), tiles_a, tiles_b, groups
const TILE = 32u;
const PITCH = TILE + 1u;  // odd, so that a column falls into distinct banks
var<workgroup> tile: array<y_v, TILE * PITCH>;

// y_emit takes the elements of a word from here: element `first` of y stands at tile[place].
var<private> first: u32;
var<private> place: u32;
fn y_at(i: u32) -> y_v { return tile[place + i - first]; }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_index(group);
  if (flat >= params.groups) { return; }
  let row = flat / params.tiles_b;
  let b0 = (flat - row * params.tiles_b) * TILE;
  var batch = row / params.tiles_a;
  let a0 = (row - batch * params.tiles_a) * TILE;
  var x_base = 0u;
  var y_base = 0u;
  for (var k = 0u; k < BATCH_RANK; k++) {
    let next = batch / dims_at(k);
    let c = batch - next * dims_at(k);
    x_base += c * x_strides_at(k);
    y_base += c * y_strides_at(k);
    batch = next;
  }

  let a = lane % TILE;
  for (var b = lane / TILE; b < TILE; b += 256u / TILE) {
    if (a0 + a < params.a_size && b0 + b < params.b_size) {
      tile[a * PITCH + b] = x_get(x_base + a0 + a + (b0 + b) * params.x_stride);
    }
  }
  workgroupBarrier();
  const WORDS = TILE / y_per_thread;
  for (var k = lane; k < TILE * WORDS; k += 256u) {
    let ya = k / WORDS;
    let yb = k % WORDS * y_per_thread;
    if (a0 + ya < params.a_size && b0 + yb < params.b_size) {
      first = y_base + (a0 + ya) * params.y_stride + b0 + yb;
      place = ya * PITCH + yb;
      y_emit(first / y_per_thread);
    }
  }
}
