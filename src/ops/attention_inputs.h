// What MultiHeadAttention and the two Attention operators share: heads with a past, masks as one term of the
// scores.
#pragma once

#include "ops/attention.h"

namespace daybreak {

// Heads of a query, key or value input: x[batch, rows, heads, size] in the layout `at`.
struct Heads {
  const Tensor* x = nullptr;
  HeadLayout at;
  int64_t batch = 0, heads = 0, rows = 0, size = 0;
};

// x of rank 3 [batch, rows, heads * size] or 4 [batch, heads, rows, size]. `heads` is for rank 3.
Heads HeadsOf(const Tensor* x, int64_t heads);

// [batch, heads, past + rows, size]: the past, then x plus bias[bias_first + head * size + i]. Returns h as
// it is when there is nothing to do; with `present` the result goes there.
Heads Joined(Plan& p, const Heads& h, const Tensor* past, const Tensor* bias, int64_t bias_first,
             const Tensor* present);

// Masks of the scores [batch, heads, seq, keys]; each broadcasts to that by NumPy's rules.
struct Masks {
  const Tensor* bias = nullptr;     // f32 or f16, added; keys behind its last column are masked
  const Tensor* mask = nullptr;     // keys where it is false or 0, and behind its last column, are masked
  Shape mask_shape;                 // its shape of rank 4
  const Tensor* lengths = nullptr;  // i32 or i64 [batch]: keys from there on are masked
  float hidden = 0;                 // what is added to a masked score
};

// Sets a.bias to the sum of all masks.
void AddMasks(Plan& p, const Masks& masks, Attention& a);

}  // namespace daybreak
