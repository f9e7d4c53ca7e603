// A row tile of few query rows and how its keys are shared out among workgroups.
//   consts: ROWS, CHUNK, GROUP (query heads of a kv head), KV_HEADS, TILES (of ROWS rows), FUSED, SPLIT (the kernel
//   writes no output)    params: seq, splits; FUSED: kv_seq
#include "lib/attention_keys.wgsl"

struct Place {
  b: u32,
  kv_head: u32,
  first_row: u32,  // row = s * group + (head in the group)
  keys: Keys,
  stop: u32,  // keys [keys.begin, stop) are visited: those that rows see, and with FUSED all new ones
}

fn row_of(p: Place, r: u32) -> u32 { return min(p.first_row + r, params.seq * GROUP - 1u); }
fn head_of(p: Place, r: u32) -> u32 { return p.kv_head * GROUP + row_of(p, r) % GROUP; }

// Row tile `line` of all: tile, then kv head, then batch entry.
fn place_of(line: u32) -> Place {
  var p = Place(line / TILES / KV_HEADS, line / TILES % KV_HEADS,
                line % TILES * ROWS, Keys(), 0u);
  p.keys = keys_of(p.b, p.first_row / GROUP, row_of(p, ROWS - 1u) / GROUP);
  p.stop = p.keys.end;
#if FUSED
  p.keys.begin = min(p.keys.begin, p.keys.past);  // new keys are made even where a row's mask hides them
  p.stop = max(p.stop, min(p.keys.past + params.kv_seq, params.keys));
#endif
  return p;
}

#if !SPLIT
// Vector of the output where row r begins; with FUSED it is [batch, seq, heads, DV].
fn output_of(p: Place, r: u32) -> u32 {
  let s = row_of(p, r) / GROUP;
#if FUSED
  return ((p.b * params.seq + s) * GROUP * KV_HEADS + head_of(p, r)) * DV;
#else
  return p.b * y_stride_at(0u) + head_of(p, r) * y_stride_at(1u) + s * y_stride_at(2u) + y_stride_at(3u);
#endif
}
#endif

struct Split {
  each: u32,  // keys of a split, a multiple of CHUNK
  used: u32,  // splits that have keys
}

fn split_of(p: Place) -> Split {
  let chunks = (p.stop - p.keys.begin + CHUNK - 1u) / CHUNK;
  let each = max(1u, (chunks + params.splits - 1u) / params.splits);
  return Split(each * CHUNK, (chunks + each - 1u) / each);
}
