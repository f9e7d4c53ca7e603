// A matrix [columns][rows] of elements of BYTES bytes, from column `first` on, in packed order (lib/packed.wgsl).
//   x (words)  ->  y (words)    consts: BYTES, WHOLE (an element is a word or a vector)
//   params: size (vectors of y), first (column, of a group), columns, rows
#include "lib/packed.wgsl"

// Where element i of y lies in x.
fn source(i: u32) -> u32 {
  let group = i / (GROUP * params.rows) * GROUP + params.first;
  let within = i % (GROUP * params.rows);
  let width = min(GROUP, params.columns - group);
  return (group + within % width) * params.rows + within / width;
}

#if !WHOLE
const PER_WORD = 4u / BYTES;
const BITS = 8u * BYTES;

// The last word of y may have fewer elements.
fn element(i: u32) -> u32 {
  if (i >= (params.columns - params.first) * params.rows) { return 0u; }
  let at = source(i);
  return extractBits(x[at / PER_WORD], at % PER_WORD * BITS, BITS);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 256u + lane;
  if (i >= params.size) { return; }
#if WHOLE
  y[i] = x[source(i)];
#else
  var word = 0u;
  for (var e = 0u; e < PER_WORD; e++) { word |= element(i * PER_WORD + e) << (e * BITS); }
  y[i] = word;
#endif
}
