// turned(line, thread): a head vector's Walsh-Hadamard transform over the square root of its size, which is its own
// inverse. It spreads outliers over the vector, whose elements then are near to Gaussian; products with a vector that is
// turned as well stay what they were. All threads of the workgroup must call it.
//   consts: VK (vectors of a thread), LANES, both powers of two, D = VK * LANES
//   needs partner(x, step, thread): the x of lane `lane ^ step` of the team
alias Line = array<V, VK>;

fn turned(line: Line, thread: u32) -> Line {
  var y = line;
#for n VK
  {
    let v = y[$n];
    let pairs = V(v.x + v.y, v.x - v.y, v.z + v.w, v.z - v.w);
    y[$n] = V(pairs.xy + pairs.zw, pairs.xy - pairs.zw) * inverseSqrt(4.0 * f32(D));
  }
#endfor
  for (var step = 1u; step < LANES; step *= 2u) {
#for n VK
    {
      let other = partner(y[$n], step, thread);
      y[$n] = select(y[$n] + other, other - y[$n], (thread & step) != 0u);
    }
#endfor
  }
  for (var step = 1u; step < VK; step *= 2u) {
    for (var n = 0u; n < VK; n++) {
      if ((n & step) == 0u) {
        let v = y[n];
        y[n] = v + y[n + step];
        y[n + step] = v - y[n + step];
      }
    }
  }
  return y;
}
