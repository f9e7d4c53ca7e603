// Few rows times block-quantised weights: the decode step of a language model.
#include <algorithm>
#include <bit>

#include "ops/matmul_nbits.h"

namespace daybreak {
namespace {

// A team of `lanes` threads computes `columns` columns for `rows` rows, taking `unroll` loads of each at a
// time.
struct Tile {
  uint32_t wg, lanes, columns, rows, unroll;
};

Tile TileOf(const DeviceInfo& device, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const uint32_t runs = q.runs();
  Tile t{.wg = 128, .lanes = 8, .columns = few.gated ? 2u : 1u, .rows = std::bit_ceil(std::min(q.m, 8u))};
  // Wide teams keep every load of a column in flight at once; lanes without a load are wasted.
  const uint32_t widest = std::min(256u, device.max_invocations);
  for (uint32_t lanes = 16; lanes <= widest; lanes *= 2)
    if (CeilDiv(runs, lanes) * lanes <= runs + runs / 6) t.lanes = lanes;
  t.wg = std::max(t.wg, t.lanes);
  // More columns a team read x less often, as long as the threads still fill the device.
  const int64_t fill = device.device_class == DeviceClass::kNvidia ? 65536 : 16384;
  int64_t all = int64_t{few.first.weight.n};
  for (const NbitsWeight& w : few.more) all += w.w ? w.n : 0;
  while (t.columns < 8 && t.columns * 2 * t.rows <= 16 && all / (t.columns * 2) * t.lanes >= fill)
    t.columns *= 2;
  t.unroll = std::clamp(std::min(CeilDiv(runs, t.lanes), 8 / t.columns), 1u, 4u);
  return t;
}

// Lanes that the subgroup adds up; workgroup memory adds the rest. 1 where the subgroup size is not fixed.
uint32_t Fold(const DeviceInfo& device, const Tile& t) {
  const uint32_t size = device.subgroups ? device.subgroup_size() : 0;
  return size == 0 ? 1 : std::min(t.lanes, size);
}

void AddWeights(Dispatch& d, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const NbitsWeight& w = q.weight;
  const uint32_t words = q.load_words();
  const bool typed_zeros = w.zeros && IsFloat(w.zeros->type);
  d.in.push_back({"w", w.w, words, View::kWords});
  d.in.push_back({"scales", w.scales});
  if (w.zeros) d.in.push_back({"zeros", w.zeros, 1, typed_zeros ? View::kTyped : View::kWords});
  if (w.bias) d.in.push_back({"bias", w.bias});
  d.out.push_back({"y", w.y});
  constexpr const char* kNames[2][4] = {{"w1", "scales1", "bias1", "y1"}, {"w2", "scales2", "bias2", "y2"}};
  for (size_t i = 0; i < 2; ++i) {
    const NbitsWeight& m = few.more[i];
    if (m.w == nullptr) continue;
    d.in.push_back({kNames[i][0], m.w, words, View::kWords});
    d.in.push_back({kNames[i][1], m.scales});
    if (m.bias) d.in.push_back({kNames[i][2], m.bias});
    if (!few.gated) d.out.push_back({kNames[i][3], m.y});
  }
  for (const Const& c : {Const{"BITS", q.bits},
                         {"BLOCK", q.block},
                         {"WORDS", words},
                         {"WIDE", words > 1},
                         {"ZEROS_U8", w.zeros && !typed_zeros},
                         {"ZEROS_T", typed_zeros},
                         {"BIAS", w.bias != nullptr},
                         {"BIAS1", few.more[0].bias != nullptr},
                         {"BIAS2", few.more[1].bias != nullptr},
                         {"GATED", few.gated},
                         {"THREE", few.more[1].w != nullptr},
                         {"TWO", few.more[0].w != nullptr}})
    d.consts.push_back(c);
}

void AddNorm(Dispatch& d, const NbitsFew& few, uint32_t width) {
  d.consts.push_back({"NORM", few.norm != nullptr});
  d.consts.push_back({"SKIP", few.skip != nullptr});
  d.consts.push_back({"SUM", few.sum != nullptr});
  if (few.norm) d.in.push_back({"norm", few.norm, width});
  if (few.skip) d.in.push_back({"skip", few.skip, width});
  if (few.sum) d.out.push_back({"sum", few.sum, width});
}

}  // namespace

bool CanRunNbitsFew(const DeviceInfo& device, const NbitsFew& few) {
  uint32_t bindings = 3 + (few.skip != nullptr) + (few.norm != nullptr) + (few.sum != nullptr) + 1;
  for (const NbitsWeight& w : few.more) bindings += w.w ? 2 + (w.bias != nullptr) + !few.gated : 0;
  bindings += (few.first.weight.bias != nullptr) + (few.first.weight.zeros != nullptr);
  return bindings <= device.max_storage_buffers && (few.norm == nullptr || few.first.k % 4 == 0);
}

void RunNbitsFew(Plan& p, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const Tile t = TileOf(p.Device(), few);
  const uint32_t fold = Fold(p.Device(), t);
  const bool x4 = q.k % 4 == 0;
  const uint32_t tile = t.wg / t.lanes * t.columns / (few.gated ? 2 : 1);
  const uint32_t row_tiles = CeilDiv(q.m, t.rows);
  const uint32_t n1 = few.gated ? 0 : few.more[0].n;
  const uint32_t tiles = CeilDiv(q.weight.n, tile), tiles1 = CeilDiv(n1, tile);
  const bool three = few.more[1].w != nullptr;
  Dispatch d{.shader = "matmul_nbits_few",
             .in = {{"x", q.x, x4 ? 4u : 1u}},
             .params = {{"m", q.m},
                        {"k", q.k},
                        {"n", q.weight.n},
                        {"n1", n1},
                        {"blocks", q.blocks()},
                        {"runs", q.runs()},
                        {"row_tiles", row_tiles},
                        {"tiles", tiles},
                        {"tiles1", std::max(tiles1, 1u)},
                        {"skip_rows", few.skip ? U32(few.skip->count() / q.k) : 1u},
                        {"eps", few.eps}},
             .grid = {int64_t{row_tiles} * (tiles + (three ? 2 : 1) * tiles1)}};
  AddWeights(d, few);
  AddNorm(d, few, x4 ? 4 : 1);
  for (const Const& c : {Const{"X4", x4},
                         {"WG", t.wg},
                         {"LANES", t.lanes},
                         {"COLUMNS", t.columns},
                         {"ROWS", t.rows},
                         {"UNROLL", t.unroll},
                         {"FOLD", fold},
                         {"SUBGROUPS", fold > 1}})
    d.consts.push_back(c);
  p.Run(d);
}

}  // namespace daybreak
