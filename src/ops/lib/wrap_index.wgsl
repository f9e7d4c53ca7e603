// Element i of `indices` (i32, or i64 as two words), wrapped into [0, dim); NO_INDEX when it is outside [-dim, dim).
//   indices (words)    consts: INDEX_WORDS (1 or 2)
const NO_INDEX = 0xffffffffu;

fn index_at(i: u32, dim: u32) -> u32 {
  let low = indices[i * INDEX_WORDS];
  let sign = u32(i32(low) >> 31u);
  if (INDEX_WORDS == 2u && indices[i * INDEX_WORDS + INDEX_WORDS - 1u] != sign) { return NO_INDEX; }
  let wrapped = select(low, low + dim, sign != 0u);
  return select(NO_INDEX, wrapped, wrapped < dim);
}
