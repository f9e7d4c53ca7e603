// Puts the list of each place into ascending order: a bottom-up merge sort, one thread a list.
//   -> head, next (u32: number + 1, 0 ends a list)    params: places

// Joins two ascending lists.
fn merge(first: u32, second: u32) -> u32 {
  var a = first;
  var b = second;
  var result = 0u;
  var tail = 0u;
  while (a != 0u || b != 0u) {
    let take_a = b == 0u || (a != 0u && a < b);
    let node = select(b, a, take_a);
    if (take_a) { a = next[node - 1u]; } else { b = next[node - 1u]; }
    if (tail == 0u) { result = node; } else { next[tail - 1u] = node; }
    tail = node;
  }
  return result;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_index(group) * 256u + lane;
  if (place >= params.places) { return; }
  var node = head[place];
  if (node == 0u || next[node - 1u] == 0u) { return; }
  var sorted: array<u32, 32>;  // entry k: an ascending list of 2^k nodes, or none
  while (node != 0u) {
    let rest = next[node - 1u];
    next[node - 1u] = 0u;
    var k = 0u;
    while (sorted[k] != 0u) {
      node = merge(sorted[k], node);
      sorted[k] = 0u;
      k++;
    }
    sorted[k] = node;
    node = rest;
  }
  var result = 0u;
  for (var k = 0u; k < 32u; k++) { result = merge(sorted[k], result); }
  head[place] = result;
}
