// A job of few tokens: one slot, or all slots of a token, summed by their shares (MIXED). Needs lib/moe_expert.wgsl.
//   experts [slots], routed? [slots] (shares)  ->  y [jobs][n]    consts: MIXED    params: parts (slots a job)

fn share_of(slot: u32) -> f32 {
#if MIXED
  return routed[slot];
#else
  return 1.0;
#endif
}

// The bias of a column, of all experts of the job.
fn whole_bias(job: u32, column: u32) -> f32 {
  var sum = 0.0;
  for (var part = 0u; part < params.parts; part++) {
    let slot = job * params.parts + part;
    let share = share_of(slot);
    if (share != 0.0) { sum += share * bias_of(row_of(experts[slot], column)); }
  }
  return sum;
}

// Writes result `n` of a job from the sum of its column, or of its two where it is gated.
fn finish(job: u32, n: u32, v: f32, up: f32) {
  if (n >= params.n) { return; }
#if GATED
  y_put(job * params.n + n, gate(v + whole_bias(job, 2u * n), up + whole_bias(job, 2u * n + 1u)));
#else
  y_put(job * params.n + n, activate(v + whole_bias(job, n)));
#endif
}
