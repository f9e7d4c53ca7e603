// A workgroup of LINES lines with LANES threads each (see ops/lines.h), and the fold over the threads of a line.
//   consts: LINES, LANES, LANES_FIRST, A (type that is folded)     the file defines: fn merge(a: A, b: A) -> A
const WG = LINES * LANES;
const STEP = select(LINES, 1u, LANES_FIRST);  // from one thread of a line to the next

var<workgroup> shared_part: array<A, WG>;

fn line_in_group(lane: u32) -> u32 { return select(lane % LINES, lane / LANES, LANES_FIRST); }
fn part_of_line(lane: u32) -> u32 { return select(lane / LINES, lane % LANES, LANES_FIRST); }

// What all threads of the line hold, merged in a fixed order. Called by all threads of the workgroup.
fn fold_line(lane: u32, own: A) -> A {
  if (LANES == 1u) { return own; }
  let part = part_of_line(lane);
  workgroupBarrier();
  shared_part[lane] = own;
  for (var rest = LANES / 2u; rest > 0u; rest /= 2u) {
    workgroupBarrier();
    if (part < rest) { shared_part[lane] = merge(shared_part[lane], shared_part[lane + rest * STEP]); }
  }
  workgroupBarrier();
  return shared_part[lane - part * STEP];
}
