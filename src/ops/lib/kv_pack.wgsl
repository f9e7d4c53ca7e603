// Head vectors as a packed cache keeps them (lib/kv_cache.wgsl), made by the LANES threads of a team together: vector
// lane + n * LANES is element n of a thread's Line, and 0 beyond the head. All threads of the workgroup must call these.
//   consts: VK (vectors of a thread), LANES (a power of two), D, KV4; with KV4 a head is VK * LANES vectors
//   needs partner(x, step, thread): the x of lane `lane ^ step` of the team
struct Packed {
#for n VK
  v$n: u32,  // the word that holds the vector
#endfor
  header: u32,
}

#if KV4
#include "lib/head_turn.wgsl"

// Numbers whose levels are next to x, four bits each.
fn nearest(x: V) -> u32 {
  var n = vec4<u32>();
  for (var i = 0u; i < 15u; i++) {
    let border = (level_of(V(f32(i) - 7.5) / 16.0) + level_of(V(f32(i) - 6.5) / 16.0)) / 2.0;
    n += select(vec4<u32>(), vec4(1u), x > border);
  }
  return n.x | (n.y << 4u) | (n.z << 8u) | (n.w << 12u);
}

// The row of a turned line.
fn packed(line: Line, thread: u32) -> Packed {
  var sum = 0.0;
#for n VK
  sum += dot(line[$n], line[$n]);
#endfor
  for (var step = 1u; step < LANES; step *= 2u) { sum += partner(V(sum), step, thread).x; }
  let norm = sqrt(sum);
  let unit = select(0.0, sqrt(4.0 * f32(D)) / norm, norm > 0.0);
  var y = Packed();
  y.header = bitcast<u32>(norm);
#for n VK
  {
    let own = nearest(line[$n] * unit);
    let other = u32(partner(V(f32(own)), 1u, thread).x);
    y.v$n = select(own | (other << 16u), other | (own << 16u), thread % 2u == 1u);
  }
#endfor
  return y;
}
#else
alias Line = array<V, VK>;

fn turned(line: Line, thread: u32) -> Line { return line; }

fn packed(line: Line, thread: u32) -> Packed {
  var top = V();
#for n VK
  top = max(top, abs(line[$n]));
#endfor
  var largest = max(max(top.x, top.y), max(top.z, top.w));
  for (var step = 1u; step < LANES; step *= 2u) { largest = max(largest, partner(V(largest), step, thread).x); }
  var y = Packed();
  y.header = bitcast<u32>(largest / 127.0);
  let unit = select(0.0, 127.0 / largest, largest > 1e-30);
#for n VK
  y.v$n = pack4xI8(vec4<i32>(round(line[$n] * unit)));
#endfor
  return y;
}
#endif
