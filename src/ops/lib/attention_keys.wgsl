// Which keys a run of query rows can see.
//   consts: SEQLENS, PAGED, CAUSAL, WINDOW, LAST_SEES_ALL (bool)    params: seq, keys, past (without SEQLENS), window;
//   PAGED: least, most (query rows, of all heads of a group, of the entries that this kernel is for)
#include "lib/attention_pages.wgsl"

struct Keys {
  past: u32,   // position of the first query row
  begin: u32,  // keys [begin, end) are seen by some row
  end: u32,
}

// For query rows first to last (both included) of batch entry b.
fn keys_of(b: u32, first: u32, last: u32) -> Keys {
#if PAGED
  let past = past_of(b);
  var r = Keys(past, 0u, min(params.keys, past + seq_of(b)));
#else
#if SEQLENS
  let all = min(params.keys, u32(max(seqlens[b] + 1, 0)));
  var r = Keys(max(all, params.seq) - params.seq, 0u, all);
#else
  var r = Keys(params.past, 0u, params.keys);
#endif
#endif
#if CAUSAL
  let end = min(r.end, r.past + last + 1u);
  r.end = select(end, r.end, LAST_SEES_ALL && last + 1u == params.seq);
#endif
#if WINDOW
  r.begin = min(max(r.past + first + 1u, params.window) - params.window, r.end);
#endif
  return r;
}

// True when rows from `first` on, of an entry that has `rows`, are none of this kernel's.
fn skips(first: u32, rows: u32) -> bool {
#if PAGED
  return first >= rows || rows < params.least || rows > params.most;
#else
  return false;
#endif
}
