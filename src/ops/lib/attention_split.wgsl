// A row tile of few query rows and how its keys are shared out among workgroups.
//   consts: ROWS, CHUNK, GROUP (query heads of a kv head), KV_HEADS, TILES (of ROWS rows of an entry; !JOINED), FUSED,
//   SPLIT (the kernel writes no output)    params: seq, splits; FUSED: kv_seq
#include "lib/attention_keys.wgsl"

struct Place {
  b: u32,
  kv_head: u32,
  first_row: u32,  // row = s * group + (head in the group)
  rows: u32,       // of the entry; 0 where the tile has nothing to do
  keys: Keys,
  stop: u32,  // keys [keys.begin, stop) are visited: those that rows see, and with FUSED all new ones
}

#if FUSED
// New keys of the entry, and where q and the output have its query row s.
fn new_rows(p: Place) -> u32 {
#if PAGED
  return seq_of(p.b);
#else
  return params.kv_seq;
#endif
}
fn token_of(p: Place, s: u32) -> u32 {
#if PAGED
  return query_row(p.b, s);
#else
  return p.b * params.seq + s;
#endif
}
#endif

fn row_of(p: Place, r: u32) -> u32 { return min(p.first_row + r, p.rows - 1u); }
fn head_of(p: Place, r: u32) -> u32 { return p.kv_head * GROUP + row_of(p, r) % GROUP; }

// Row tile `line` of all: tile, then kv head, then batch entry; with JOINED tiles as attention_pages numbers them.
fn place_of(line: u32) -> Place {
#if JOINED
  let tile = line / KV_HEADS;
  let b = entry_of(tile, GROUP, ROWS);
  var p = Place(b, line % KV_HEADS, (tile - first_tile(b, GROUP, ROWS)) * ROWS, seq_of(b) * GROUP, Keys(), 0u);
#else
  let b = line / TILES / KV_HEADS;
  var p = Place(b, line / TILES % KV_HEADS, line % TILES * ROWS, seq_of(b) * GROUP, Keys(), 0u);
#endif
  if (skips(p.first_row, p.rows)) {
    p.rows = 0u;
    return p;
  }
  p.keys = keys_of(p.b, p.first_row / GROUP, row_of(p, ROWS - 1u) / GROUP);
  p.stop = p.keys.end;
#if FUSED
  p.keys.begin = min(p.keys.begin, p.keys.past);  // new keys are made even where a row's mask hides them
  p.stop = max(p.stop, min(p.keys.past + new_rows(p), params.keys));
#endif
  return p;
}

#if !SPLIT
// Vector of the output where row r begins; with FUSED it is [batch, seq, heads, DV].
fn output_of(p: Place, r: u32) -> u32 {
  let s = row_of(p, r) / GROUP;
#if FUSED
  return (token_of(p, s) * GROUP * KV_HEADS + head_of(p, r)) * DV;
#else
  return p.b * y_stride_at(0u) + head_of(p, r) * y_stride_at(1u) + query_row(p.b, s) * y_stride_at(2u) + y_stride_at(3u);
#endif
}
#endif

// Keys from here on are new ones, and those before it come from the caches.
fn cached_of(p: Place) -> u32 {
#if FUSED
  return select(clamp(p.keys.past, p.keys.begin, max(p.keys.begin, p.stop)), p.stop, new_rows(p) == 0u);
#else
  return p.stop;
#endif
}

// Splits take chunks of the cached keys in turn, so that no length decides where one begins, and the one whose turn it is
// then takes the new keys. This many of them have any; the first one has even where there are no keys.
fn splits_of(p: Place) -> u32 { return min(params.splits, (max(cached_of(p), p.keys.begin) - p.keys.begin) / CHUNK + 1u); }
