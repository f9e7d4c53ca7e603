// What becomes of a raw score: cap, bias and mask, the same in every attention kernel.
//   consts: CAUSAL, LAST_SEES_ALL (the last query, of params.seq), WINDOW, SOFTCAP, BIAS, SINK, SINK_INPUT (bool)    lists: bias_stride (batch, head, row)    params: softcap, window
const LOWEST = -3.4028234663852886e38;  // the score of a pair that the mask removes; its probability is 0

// Query row s is at position past + s, keys end at `end`.
fn sees(s: u32, t: u32, past: u32, end: u32) -> bool {
  var visible = t < end;
#if CAUSAL
  visible = visible && (t <= past + s || (LAST_SEES_ALL && s + 1u == params.seq));
#endif
#if WINDOW
  visible = visible && t + params.window > past + s;
#endif
  return visible;
}

// `raw` is the scaled product of query row s of `head` with key t.
fn unmasked(raw: f32, b: u32, head: u32, s: u32, t: u32) -> f32 {
  var score = raw;
#if SOFTCAP
  score = params.softcap * tanh(clamp(score / params.softcap, -20.0, 20.0));
#endif
#if BIAS
  score += f32(bias[b * bias_stride_at(0u) + head * bias_stride_at(1u) + s * bias_stride_at(2u) + t]);
#endif
  return score;
}

fn score_of(raw: f32, b: u32, head: u32, s: u32, t: u32, past: u32, end: u32) -> f32 {
  if (!sees(s, t, past, end)) { return LOWEST; }
  let score = unmasked(raw, b, head, s, t);
#if BIAS
  if (score < LOWEST) { return LOWEST; }
#endif
  return max(score, -3.3e38);
}

#if SINK
// The extra score of a head that takes part in the softmax and has no value.
fn sink_of(head: u32) -> f32 {
#if SINK_INPUT
  return f32(sink[head]);
#else
  return 0.0;
#endif
}
#endif

// What the summed values of a row are multiplied by, for its largest score and the sum of exp(score - largest).
// A row that sees no key gives 0.
fn share_of(largest: f32, sum: f32, head: u32) -> f32 {
#if SINK
  let top = max(largest, sink_of(head));
  let keep = exp(largest - top);
  return keep / (sum * keep + exp(sink_of(head) - top));
#else
  return select(0.0, 1.0 / sum, sum > 0.0);
#endif
}
