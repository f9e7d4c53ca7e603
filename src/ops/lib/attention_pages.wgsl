// Where batch entries have their query rows and their keys.
//   !PAGED: an entry has params.seq query rows, and key t is row t of its cache    params: seq
//   PAGED: the tokens of all entries follow one another, a row each, and a table names the blocks of BLOCK rows that make
//     up the cache of an entry    bindings (i32): starts [entries + 1], pasts [entries], block_table [entries][blocks]
//     params: entries, tokens, blocks (of an entry), pool (blocks of the cache), keys (blocks * BLOCK)
//     No value of the three leads outside a tensor: lengths are clamped, a block that does not exist is read as the last.
#if PAGED
fn start_of(b: u32) -> u32 { return u32(clamp(starts[b], 0, i32(params.tokens))); }
fn seq_of(b: u32) -> u32 { return max(start_of(b), start_of(b + 1u)) - start_of(b); }
fn past_of(b: u32) -> u32 { return u32(clamp(pasts[b], 0, i32(params.keys))); }

// The block of key t; params.pool or more where there is none.
fn block_of(b: u32, t: u32) -> u32 { return u32(block_table[b * params.blocks + min(t / BLOCK, params.blocks - 1u)]); }

// Tiles of `size` query rows, `group` of them a token, are numbered through all entries: the number of entry b's first
// one. Each entry has room for a tile more than it may need where tokens do not fill tiles.
fn first_tile(b: u32, group: u32, size: u32) -> u32 {
  return start_of(b) * group / size + select(b, 0u, group % size == 0u);
}

// The entry of a tile.
fn entry_of(tile: u32, group: u32, size: u32) -> u32 {
  var low = 0u;
  for (var high = params.entries; low + 1u < high;) {
    let middle = (low + high) / 2u;
    if (first_tile(middle, group, size) <= tile) { low = middle; } else { high = middle; }
  }
  return low;
}
#else
fn seq_of(b: u32) -> u32 { return params.seq; }
#endif

// Where strided tensors have query row s of entry b, and caches its key t.
fn query_row(b: u32, s: u32) -> u32 {
#if PAGED
  return start_of(b) + s;
#else
  return s;
#endif
}

fn row_of_key(b: u32, t: u32) -> u32 {
#if PAGED
  return min(block_of(b, t), params.pool - 1u) * BLOCK + t % BLOCK;
#else
  return t;
#endif
}
