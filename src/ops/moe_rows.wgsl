// A projection for some tokens: each load of a weight serves the up to ROWS slots of a tile, which go to one expert. A
// team of TEAM threads computes COLUMNS columns of them.
//   x, weights as in lib/moe_expert.wgsl; order [slots], tiles (expert, first place in order, rows)  ->  y [slots][n]
//   consts: WG, TEAM, COLUMNS, QUADS (4 weights each a load), ROWS; those of lib/team_sum.wgsl
//   params: share (slots that share a row of x), x_first (its row 0), first (slot of y's first row), row_tiles
#include "lib/moe_expert.wgsl"
#include "lib/moe_row.wgsl"
#include "lib/moe_dots.wgsl"
#include "lib/team_sum.wgsl"

struct Sums {
#for c COLUMNS
#for r ROWS
  c$c_$r: f32,
#endfor
#endfor
#for r ROWS
  x$r: f32,
#endfor
}

// Writes result `n` of a slot from the sum of its column, or of its two where it is gated.
fn finish(expert: u32, slot: u32, n: u32, v: f32, up: f32) {
  if (n >= params.n) { return; }
  let at = (slot - params.first) * params.n + n;
#if GATED
  y_put(at, gate(v + bias_of(row_of(expert, 2u * n)), up + bias_of(row_of(expert, 2u * n + 1u))));
#else
  y_put(at, activate(v + bias_of(row_of(expert, n))));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
  let tile = tiles[group_index(group) % params.row_tiles];
  if (tile.z == 0u) { return; }
  let lane = tid % TEAM;
  let first = (group_index(group) / params.row_tiles * (WG / TEAM) + tid / TEAM) * COLUMNS;
#for r ROWS
  let slot$r = order[tile.y + min($ru, tile.z - 1u)];
  let row$r = slot$r / params.share - params.x_first;
#endfor
#for c COLUMNS
  let at$c = row_of(tile.x, first + $cu);
#endfor
  var total = Sums();
  for (var run = lane; run < params.row_runs; run += TEAM) {
#for c COLUMNS
    let words$c = load(at$c, run);
#endfor
    let k = run * RUN;
    var sums = Sums();
#for j QUADS
    {
#for c COLUMNS
      let q$c = quad(words$c, $ju, k);
#endfor
#for r ROWS
      let v$r = x_quad(row$r, k + 4u * $ju);
      sums.x$r += dot(v$r, vec4(1.0));
#for c COLUMNS
      sums.c$c_$r = chain(q$c, v$r, sums.c$c_$r);
#endfor
#endfor
    }
#endfor
#for c COLUMNS
    let w$c = weighing(at$c, k);
#for r ROWS
    total.c$c_$r += w$c.factor * (sums.c$c_$r - w$c.zero * sums.x$r);
#endfor
#endfor
  }
#for r ROWS
  var sums$r: array<f32, COLUMNS>;
#for c COLUMNS
  sums$r[$cu] = team_sum(total.c$c_$r, tid);
#endfor
#endfor
  if (lane != 0u) { return; }
#for r ROWS
  if ($ru < tile.z) {
    for (var i = 0u; i < COLUMNS / SIDES; i++) {
      finish(tile.x, slot$r, first / SIDES + i, sums$r[i * SIDES], sums$r[i * SIDES + SIDES - 1u]);
    }
  }
#endfor
}
