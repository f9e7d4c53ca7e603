// Chooses the best experts of a token, which a workgroup takes, and their shares of the result. Of equal logits the
// higher expert wins, as in ONNX Runtime. Shares up to `least` become 0: such an expert is not run.
//   router [tokens][experts], weights? (the same)  ->  experts, shares [tokens][top], ordered by logit
//   consts: WEIGHTS (shares from there, else by softmax), ALL (softmax over all experts, else the chosen), NORMALISE
//   params: experts, top, least
const WG = 64u;
var<workgroup> keys: array<u32, WG>;
var<workgroup> places: array<u32, WG>;
var<workgroup> sums: array<f32, WG>;
const NOBODY = 0xffffffffu;

// Ascends with v.
fn key_of(v: f32) -> u32 {
  let bits = select(bitcast<u32>(v), 0u, v == 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn beats(key: u32, place: u32, other_key: u32, other: u32) -> bool {
  return key > other_key || (key == other_key && place > other);
}

// The best expert after the one at (key, place), for every thread; `first` leaves none out.
fn best_after(first: bool, key: u32, place: u32, base: u32, lane: u32) -> vec2<u32> {
  var best = vec2(0u, NOBODY);
  for (var e = lane; e < params.experts; e += WG) {
    let candidate = key_of(router_get(base + e));
    let open = first || beats(key, place, candidate, e);
    if (open && (best.y == NOBODY || beats(candidate, e, best.x, best.y))) { best = vec2(candidate, e); }
  }
  workgroupBarrier();
  keys[lane] = best.x;
  places[lane] = best.y;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half && places[lane + half] != NOBODY) {
      let other = lane + half;
      if (places[lane] == NOBODY || beats(keys[other], places[other], keys[lane], places[lane])) {
        keys[lane] = keys[other];
        places[lane] = places[other];
      }
    }
  }
  workgroupBarrier();
  return vec2(keys[0], places[0]);
}

fn sum_of_all(base: u32, top: f32, lane: u32) -> f32 {
  var sum = 0.0;
  for (var e = lane; e < params.experts; e += WG) { sum += exp(router_get(base + e) - top); }
  sums[lane] = sum;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  workgroupBarrier();
  return sums[0];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = group_index(group);
  let base = token * params.experts;
  var at = vec2(0u, NOBODY);
  var highest = 0.0;
  var sum = 0.0;
  for (var s = 0u; s < params.top; s++) {
    at = best_after(s == 0u, at.x, at.y, base, lane);
    if (s == 0u) { highest = router_get(base + at.y); }
#if WEIGHTS
    let share = weights_get(base + at.y);
#else
    let share = exp(router_get(base + at.y) - highest);
#endif
    sum += share;
    if (lane == 0u) { experts[token * params.top + s] = at.y; }
    if (lane == 0u) { shares[token * params.top + s] = share; }
  }
  if (ALL) { sum = sum_of_all(base, highest, lane); }
  if (lane != 0u) { return; }
  let factor = select(1.0, select(1.0 / sum, 0.0, sum == 0.0), NORMALISE);
  for (var s = 0u; s < params.top; s++) {
    let share = shares[token * params.top + s] * factor;
    shares[token * params.top + s] = select(share, 0.0, share <= params.least);
  }
}
