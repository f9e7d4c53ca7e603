// One additive term of the scores from all masks: y[b, head, s, t] = bias + (masked ? hidden : 0).
//   bias?, mask?, lengths? -> y [batch, heads, seq, keys], f32    lists: bias_stride, mask_stride (batch, head, row, key)
//   MASK: a key is masked where mask is false or 0 (any type that x_get reads), and behind the mask's last column if
//   keys exceed mask_keys. LENGTHS: also where t >= lengths[b] (i32, or the low word of i64).
//   params: count, heads, seq, keys, mask_keys, bias_keys, hidden; keys behind bias_keys are masked as well
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group) * 64u + lane;
  if (i >= params.count) { return; }
  let t = i % params.keys;
  let s = i / params.keys % params.seq;
  let head = i / params.keys / params.seq % params.heads;
  let b = i / params.keys / params.seq / params.heads;
  var v = 0.0;
  var masked = false;
#if BIAS
  masked = t >= params.bias_keys;
  if (!masked) {
    v = bias_get(b * bias_stride_at(0u) + head * bias_stride_at(1u) + s * bias_stride_at(2u) + t * bias_stride_at(3u));
  }
#endif
#if MASK
  masked = masked || t >= params.mask_keys;
  if (!masked) {
    masked = mask_get(b * mask_stride_at(0u) + head * mask_stride_at(1u) + s * mask_stride_at(2u) +
                      t * mask_stride_at(3u)) == mask_v(0);
  }
#endif
#if LENGTHS
#if WIDE
  masked = masked || t >= lengths_get(b).x;
#else
  masked = masked || i32(t) >= lengths_get(b);
#endif
#endif
  y[i] = select(v, v + params.hidden, masked);
}
