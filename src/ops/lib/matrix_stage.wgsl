// The first of the rows that a thread stages, in rows of OCTETS vec4 and one of padding. Eight threads store at a time:
// where a row takes four of them, rows r and r + 4, which lie in different banks.   consts: WG, OCTETS
fn stage_row(tid: u32) -> u32 {
  let row = tid / OCTETS;
  return select(row, row / 8u * 8u + row % 2u * 4u + row / 2u % 4u, OCTETS == 4u && WG % 32u == 0u);
}
