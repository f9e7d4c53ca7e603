// Results of gemm_matrix from a subgroup's strip of two units to memory.
const STRIP_N = select(2u, 1u, GATED) * MN;  // columns of y that a strip holds

// Columns n + 0 .. 3 of row m, where the strip has them at `column` of `row`.
fn result_quad(place: Place, strip: u32, row: u32, column: u32, m: u32, n: u32) -> vec4<f32> {
  var v = scaled(strip_quad(strip, row, column)) + bias_quad(place.matrix, m, n);
#if GATED
  let up = strip_quad(strip, row, MN + column) + bias_quad(1u, m, n);
  v = vec4(activate(v.x), activate(v.y), activate(v.z), activate(v.w)) * up;
#endif
  return v;
}

// A strip to rows from m and columns from place.n + `first`.
fn write_strip(place: Place, m: u32, first: u32, strip: u32, lane: u32) {
#if WHOLE_N
  for (var e = lane; e < MM * STRIP_N / 8u; e += WG / SUBS) {
    let row = e / (STRIP_N / 8u);
    let column = e % (STRIP_N / 8u) * 8u;
    let n = place.n + first + column;
    if (m + row >= params.m || n >= place.count) { continue; }
    let low = vec4<f16>(result_quad(place, strip, row, column, m + row, n));
    let high = vec4<f16>(result_quad(place, strip, row, column + 4u, m + row, n + 4u));
    store_octet(place, (place.row + m + row) * place.count + n, vec4<u32>(bitcast<vec2<u32>>(low), bitcast<vec2<u32>>(high)));
  }
#else
  for (var e = lane; e < MM * STRIP_N; e += WG / SUBS) {
    let row = e / STRIP_N;
    let column = e % STRIP_N;
    let n = place.n + first + column;
    if (m + row >= params.m || n >= place.count) { continue; }
    let quad = result_quad(place, strip, row, column / 4u * 4u, m + row, n / 4u * 4u);
    store_one(place, (place.row + m + row) * place.count + n, quad[column % 4u]);
  }
#endif
}
