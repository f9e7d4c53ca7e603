// Unit i of x; see lib/move.wgsl.
fn x_unit(i: u32) -> unit_t {
#if WORDS
  return x[i];
#else
  return x_get(i);
#endif
}
