// Does not compile: `missing` is not declared.
@compute @workgroup_size(1)
fn main() { y[0] = missing; }
