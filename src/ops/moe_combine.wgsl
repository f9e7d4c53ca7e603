// The weighted sums of what the experts of some tokens gave.
//   parts [tokens][top][row] (of the tokens from slot `first`), shares [all slots]  ->  y [all tokens][row]
//   params: size (of what is written), row, top, first
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 64u + lane;
  if (i >= params.size) { return; }
  let slot = i / params.row * params.top;
  var sum = 0.0;
  for (var s = slot; s < slot + params.top; s++) {
    let share = shares[params.first + s];
    if (share != 0.0) { sum += share * parts[s * params.row + i % params.row]; }
  }
  y_put(params.first / params.top * params.row + i, sum);
}
