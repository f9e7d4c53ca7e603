// Hands out elements [start, start + span) of each of x's lines to y0, y1, ... one after the other. Everything in units
// of whole words.
//   x (words) -> y0 .. y6 (words)    consts: Y0 .. Y6 (the output exists)
//   params: ends (of the parts in the span), size (units to move), start, span, line (of x)
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 256u + lane;
  if (i >= params.size) { return; }
  let outer = i / params.span;
  let c = i - outer * params.span;
  var k = 0u;
  var begin = 0u;
  while (c >= ends_at(k)) {
    begin = ends_at(k);
    k++;
  }
  let at = outer * (ends_at(k) - begin) + c - begin;
  let piece = x[outer * params.line + params.start + c];
  switch (k) {
#if Y0
    case 0u: { y0[at] = piece; }
#endif
#if Y1
    case 1u: { y1[at] = piece; }
#endif
#if Y2
    case 2u: { y2[at] = piece; }
#endif
#if Y3
    case 3u: { y3[at] = piece; }
#endif
#if Y4
    case 4u: { y4[at] = piece; }
#endif
#if Y5
    case 5u: { y5[at] = piece; }
#endif
#if Y6
    case 6u: { y6[at] = piece; }
#endif
    default: {}
  }
}
