// Packed order of a matrix [columns][rows] (core/packing.h): groups of 32 columns, the last one with what is left; in a
// group the elements of one row are neighbours, so that neighbouring lanes read neighbouring columns.
const GROUP = 32u;

struct Column {
  first: u32,  // column of the group
  lane: u32,   // of the column in its group
  width: u32,  // columns of the group
}

fn column_of(n: u32, columns: u32) -> Column {
  let first = n / GROUP * GROUP;
  return Column(first, n - first, min(GROUP, columns - first));
}

// Where element `row` of a column of `rows` elements lies.
fn packed_at(c: Column, row: u32, rows: u32) -> u32 { return c.first * rows + row * c.width + c.lane; }
