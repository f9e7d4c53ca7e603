// Sums of all rows over the keys of a thread, element by element, for attention_decode: its R, Value, LANES, SG and VV.
struct Sums {
#for n VV
  x$n: R,
  y$n: R,
  z$n: R,
  w$n: R,
#endfor
  top: R,     // largest score
  weight: R,  // sum of exp(score - top)
}

// The sums rescaled to a larger top.
fn raised(old: Sums, top: R) -> Sums {
  var s = old;
  let keep = exp(old.top - top);
  s.top = top;
  s.weight *= keep;
#for n VV
  s.x$n *= keep;
  s.y$n *= keep;
  s.z$n *= keep;
  s.w$n *= keep;
#endfor
  return s;
}

// The sums with a value of these scores, none of which exceeds the top.
fn added(old: Sums, scores: R, value: Value, inside: bool, lane: u32) -> Sums {
  var s = old;
  let share = select(exp(scores - s.top), R(), scores == R(LOWEST));
  s.weight += share;
  // Memory behind the last key may hold anything, NaN included.
#if KV_PACKED
  let part = share * select(0.0, factor_of(value.header), inside);
#else
  let part = share;
#endif
#for n VV
  {
#if KV_PACKED
    let x = numbers_of(value.v$n, lane);
#else
    let x = select(V(), V(value.v$n), vec4(inside));
#endif
    s.x$n += part * x.x;
    s.y$n += part * x.y;
    s.z$n += part * x.z;
    s.w$n += part * x.w;
  }
#endfor
  return s;
}

// The sums of all teams of a subgroup.
fn joined(own: Sums) -> Sums {
  var s = own;
  for (var step = LANES; step < SG; step *= 2u) {
    s = raised(s, max(s.top, subgroupShuffleXor(s.top, step)));
    s.weight += subgroupShuffleXor(s.weight, step);
#for n VV
    s.x$n += subgroupShuffleXor(s.x$n, step);
    s.y$n += subgroupShuffleXor(s.y$n, step);
    s.z$n += subgroupShuffleXor(s.z$n, step);
    s.w$n += subgroupShuffleXor(s.w$n, step);
#endfor
  }
  return s;
}
