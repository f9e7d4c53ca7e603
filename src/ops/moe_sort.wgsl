// Lists the slots (a token's place for one of its experts) by expert, and cuts each expert's list into tiles of `rows`.
// One workgroup does it. Slots without a share are left out. The order within an expert is free: a slot's result does
// not depend on it.
//   experts, shares [all slots]  ->  order [slots] (those from `first`), tiles [tiles]: expert, first place in order,
//     slots (0: an unused tile)
//   peaks? [slots]: zeros, for moe_matrix
//   consts: WG, CAP (at least the number of experts), PEAKS    params: first, slots, experts, rows, tiles
var<workgroup> counts: array<atomic<u32>, CAP>;
var<workgroup> next: array<atomic<u32>, CAP>;
var<workgroup> used: u32;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) tid: u32) {
  for (var e = tid; e < params.experts; e += WG) { atomicStore(&counts[e], 0u); }
  workgroupBarrier();
  for (var slot = params.first + tid; slot < params.first + params.slots; slot += WG) {
    if (shares[slot] != 0.0) { atomicAdd(&counts[experts[slot]], 1u); }
  }
  workgroupBarrier();
  for (var e = tid; e < params.experts; e += WG) {
    var first = 0u;
    var tile = 0u;
    for (var before = 0u; before < e; before++) {
      let count = atomicLoad(&counts[before]);
      first += count;
      tile += (count + params.rows - 1u) / params.rows;
    }
    atomicStore(&next[e], first);
    let count = atomicLoad(&counts[e]);
    for (var done = 0u; done < count; done += params.rows) {
      tiles[tile] = vec4(e, first + done, min(params.rows, count - done), 0u);
      tile++;
    }
    if (e == params.experts - 1u) { used = tile; }
  }
  workgroupBarrier();
  for (var tile = used + tid; tile < params.tiles; tile += WG) { tiles[tile] = vec4<u32>(); }
#if PEAKS
  for (var i = tid; i < params.slots; i += WG) { peaks[i] = 0u; }
#endif
  for (var slot = params.first + tid; slot < params.first + params.slots; slot += WG) {
    if (shares[slot] != 0.0) { order[atomicAdd(&next[experts[slot]], 1u)] = slot; }
  }
}
