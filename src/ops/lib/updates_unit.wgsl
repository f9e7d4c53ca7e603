// Unit i of `updates`; see lib/move.wgsl.
fn updates_unit(i: u32) -> unit_t {
#if WORDS
  return updates[i];
#else
  return updates_get(i);
#endif
}
