// Where batch element `batch` of an operand begins, in elements.
//   consts: BATCH_RANK     params: lists batch, a_batch, b_batch
fn batch_base(batch: u32, of_a: bool) -> u32 {
  var rest = batch;
  var base = 0u;
  for (var d = BATCH_RANK; d > 0u; d--) {
    let i = rest % batch_at(d - 1u);
    rest /= batch_at(d - 1u);
    base += i * select(b_batch_at(d - 1u), a_batch_at(d - 1u), of_a);
  }
  return base;
}
