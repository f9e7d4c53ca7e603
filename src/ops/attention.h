// Attention after its inputs are in place: scores, softmax, weighted sum of values. Every attention operator
// ends here.
#pragma once

#include "core/op.h"

namespace daybreak {

// Where element (batch, head, row, 0) of a tensor lies, in elements.
struct HeadLayout {
  int64_t batch = 0, head = 0, row = 0;
  int64_t first = 0;  // offset of (0, 0, 0, 0)
};

struct Attention {
  const Tensor *q = nullptr, *k = nullptr, *v = nullptr;
  const Tensor* out = nullptr;
  HeadLayout q_at, k_at, v_at, out_at;
  int64_t batch = 0, heads = 0, kv_heads = 0;  // heads is a multiple of kv_heads
  int64_t seq = 0;                             // query rows of a batch entry
  int64_t keys = 0;                 // key rows that every batch entry has, or at most has (with seqlens)
  int64_t head = 0, v_head = 0;     // sizes of a head
  const Tensor* seqlens = nullptr;  // i32 [batch]: key rows - 1; queries are then the last rows
  bool causal = false;              // query s sees keys up to past + s
  int64_t past = 0;                 // keys before the first query; with seqlens max(keys - seq, 0)
  int64_t window = 0;               // > 0: only the last `window` of the keys that causality leaves
  float scale = 0;                  // of scores; 0: 1 / sqrt(head)
  float softcap = 0;                // > 0: scores become softcap * tanh(score / softcap)
  const Tensor* bias = nullptr;     // added to scores, rows of at least `keys` elements
  HeadLayout bias_at;               // stride 0 broadcasts
  const Tensor* sink = nullptr;     // [heads]: one more score, without a value
  bool smooth = false;              // a sink of 0 for each head
};

// Issues the dispatches. Rows that see no key give 0.
void Attend(Plan& plan, const Attention& attention);

// The smallest power of two that is not below n.
uint32_t Pow2(int64_t n);

}  // namespace daybreak
