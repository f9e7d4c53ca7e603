// Few rows times block-quantised weights: the decode step of a language model.
#include <algorithm>
#include <bit>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/matmul_nbits.h"

namespace daybreak {
namespace {

// A team of `lanes` threads computes `columns` columns for `rows` rows, taking loads of `words` u32.
struct Tile {
  uint32_t wg, lanes, columns, rows, words;
};

uint32_t Runs(const NbitsProduct& q, uint32_t words) { return q.blocks() * q.block * q.bits / 32 / words; }

// The widest team of which lanes without a load are at most one in seven.
uint32_t WidestTeam(const DeviceInfo& device, uint32_t runs) {
  uint32_t widest = 8;
  for (uint32_t lanes = 16; lanes <= std::min(256u, device.max_invocations); lanes *= 2)
    if (CeilDiv(runs, lanes) * lanes <= runs + runs / 6) widest = lanes;
  return widest;
}

Tile TileOf(const DeviceInfo& device, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  Tile t{.wg = 128,
         .lanes = 16,
         .columns = 4,
         .rows = q.m == 1 ? 1u : 4u,
         .words = std::min(q.load_words(), q.bits == 2 ? 2u : 4u)};
  // A processor shares the loads of x between lanes, which therefore own columns of their own.
  if (device.device_class == DeviceClass::kSoftware && !IsForced("nbits_team")) {
    t.wg = 16;
    t.lanes = 1;
    if (t.rows == 4) t.words = q.bits == 8 ? 2 : 1;  // more sums at a time would leave its registers
    return t;
  }
  // Teams are as wide as it takes to fill the device; narrower loads allow wider teams, fewer columns more of
  // them.
  int64_t columns = few.first.weight.n;
  for (const NbitsWeight& w : few.more) columns += w.w ? w.n : 0;
  const int64_t fill = FactsOf(device.device_class).team_threads;
  uint32_t widest = WidestTeam(device, Runs(q, t.words));
  if (columns / t.columns * widest < fill && t.words == 4) {
    t.words = 2;
    widest = WidestTeam(device, Runs(q, t.words));
  }
  while (t.columns > (few.gated() ? 2u : 1u) && columns / t.columns * widest < fill / 2) t.columns /= 2;
  while (t.lanes < widest && columns / t.columns * t.lanes < fill) t.lanes *= 2;
  t.lanes = std::bit_floor(std::clamp(Forced("team_lanes", t.lanes), 1u, widest));
  t.wg = std::max(t.wg, t.lanes);
  return t;
}

// Lanes that the subgroup adds up; workgroup memory adds the rest. 1 where the subgroup size is not fixed.
uint32_t Fold(const DeviceInfo& device, const Tile& t) {
  const uint32_t size = device.subgroups ? device.subgroup_size() : 0;
  return size == 0 ? 1 : std::min(t.lanes, size);
}

// `x8`: eight f16 a load, as words.
void AddRows(Dispatch& d, const NbitsFew& few, bool x8) {
  const uint32_t width = few.first.k % 4 == 0 ? 4 : 1;
  const View view = x8 ? View::kWords : View::kTyped;
  d.in.push_back({"x", few.first.x, width, view});
  d.consts.push_back({"NORM", few.norm != nullptr});
  d.consts.push_back({"SKIP", few.skip != nullptr});
  d.consts.push_back({"SUM", few.sum != nullptr});
  if (few.norm) d.in.push_back({"norm", few.norm, width, view});
  if (few.skip) d.in.push_back({"skip", few.skip, width, view});
  if (few.sum) d.out.push_back({"sum", few.sum, width});
}

// What both kernels share, for tiles of `rows` rows and `columns` columns of each weight, in loads of `words`
// u32.
Dispatch Common(const char* shader, const NbitsFew& few, uint32_t rows, uint32_t columns, uint32_t words,
                bool x8) {
  const NbitsProduct& q = few.first;
  const uint32_t row_tiles = CeilDiv(q.m, rows);
  const uint32_t n1 = few.gated() ? 0 : few.more[0].n;
  const uint32_t tiles = CeilDiv(q.weight.n, columns), tiles1 = CeilDiv(n1, columns);
  const bool three = few.more[1].w != nullptr;
  Dispatch d{.shader = shader,
             .params = {{"m", q.m},
                        {"k", q.k},
                        {"n", q.weight.n},
                        {"n1", n1},
                        {"blocks", q.blocks()},
                        {"runs", Runs(q, words)},
                        {"row_tiles", row_tiles},
                        {"tiles", tiles},
                        {"tiles1", std::max(tiles1, 1u)},
                        {"skip_rows", few.skip ? U32(few.skip->count() / q.k) : 1u},
                        {"eps", few.eps}},
             .grid = {int64_t{row_tiles} * (tiles + (three ? 2 : 1) * tiles1)}};
  AddRows(d, few, x8);
  AddNbitsWeights(d, few, words);
  return d;
}

// --- In integers
// ----------------------------------------------------------------------------------------------------------

struct DotTile {
  uint32_t wg, lanes, columns, rows, chunk;
};

uint32_t Elements(const NbitsProduct& q) { return q.load_words() * 32 / q.bits; }  // of a load

// GPUs have packed products of bytes (NVIDIA since Pascal, AMD since RDNA 2, Intel since Xe, Qualcomm since
// Adreno 6xx); for Apple's the compiler writes them out. A processor, as llvmpipe uses it, has none, and is
// better served by columns of its own for each lane.
bool CanDot(const DeviceInfo& device, const NbitsFew& few) {
  const bool wanted = device.device_class != DeviceClass::kSoftware || IsForced("nbits_dot");
  return wanted && !IsForced("nbits_team") && device.subgroups &&
         device.subgroup_min >= std::max(8u, Elements(few.first) / 8) && few.first.m <= kNbitsFewRows;
}

// Neighbouring lanes that shuffles reach, whatever size a subgroup has.
uint32_t LanesOfShuffles(const DeviceInfo& device) { return std::min(device.subgroup_min, 32u); }

DotTile DotTileOf(const DeviceInfo& device, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const uint32_t runs = Runs(q, q.load_words());
  int64_t columns = few.gated() ? 2 * int64_t{q.weight.n} : q.weight.n;
  if (!few.gated())
    for (const NbitsWeight& w : few.more) columns += w.w ? w.n : 0;
  const ClassFacts facts = FactsOf(device.device_class);
  DotTile t{.rows = std::min(std::bit_ceil(q.m), 4u)};
  // Two loads of a column a thread, one of them on its way.
  const uint32_t sg = LanesOfShuffles(device);
  t.lanes = std::clamp(std::bit_floor(runs / 2), sg, 128u);
  // x for as many loads as workgroup memory holds beside the sums, and a thread for each of their units.
  const uint32_t most = std::min(1024u, device.max_invocations);
  const uint32_t units = Elements(q) / 8;
  const uint32_t load_bytes = units * (q.x->type == DType::kF16 ? 16 : 24) + 8;
  const uint32_t sum_bytes = 4 * most / 8 * 5 * t.rows;  // teams have 8 lanes or more
  t.chunk = std::max(std::bit_ceil(runs), sg);
  while (t.chunk > 8 && t.chunk * t.rows * load_bytes + sum_bytes > device.workgroup_bytes) t.chunk /= 2;
  t.wg = std::clamp(t.chunk * units, 256u, most);
  t.lanes = std::min(t.lanes, t.chunk);
  // As many columns as leave two workgroups to each core, so that one prepares x while another multiplies.
  // Several rows read more of x than of the weights, and share it between columns.
  const uint32_t weights = few.gated() ? 2 : 1;
  const auto groups = [&](uint32_t results) { return columns / weights / results * t.lanes / t.wg; };
  const int64_t cores = facts.cores;
  t.columns = weights * (t.rows > 1 || groups(2) >= 2 * cores - 8 ? 2 : 1);
  if (!few.gated() && runs >= 4 * t.lanes && groups(4) >= cores - 4) t.columns = 4;
  const int64_t fill = facts.dot_threads;
  while (columns / t.columns * t.lanes < fill && t.lanes < std::min({runs, t.wg, t.chunk})) t.lanes *= 2;
  t.lanes = std::bit_floor(std::clamp(Forced("dot_lanes", t.lanes), 8u, std::min(t.wg, t.chunk)));
  const uint32_t results = Forced("dot_columns", t.columns / weights);
  t.columns = weights * std::bit_floor(std::clamp(results, 1u, few.gated() ? 2u : 4u));
  return t;
}

void RunDot(Plan& p, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const DotTile t = DotTileOf(p.Device(), few);
  const uint32_t sg = LanesOfShuffles(p.Device());
  Dispatch d = Common("matmul_nbits_dot", few, t.rows, t.wg / t.lanes * t.columns / (few.gated() ? 2 : 1),
                      q.load_words(), false);
  for (const Const& c : {Const{"X4", q.k % 4 == 0},
                         {"WG", t.wg},
                         {"LANES", t.lanes},
                         {"COLUMNS", t.columns},
                         {"ROWS", t.rows},
                         {"UNITS", Elements(q) / 8},
                         {"CHUNK", t.chunk},
                         {"SG", sg},
                         {"WHOLE", p.Device().subgroup_size() == sg},
                         {"ROW_TILES", CeilDiv(q.m, t.rows)},
                         {"DIGITS_3", q.x->type != DType::kF16}})
    d.consts.push_back(c);
  p.Run(d);
}

}  // namespace

bool CanRunNbitsFew(const DeviceInfo& device, const NbitsFew& few) {
  const uint64_t others = 1 + (few.skip != nullptr) + (few.norm != nullptr) + (few.sum != nullptr);
  return NbitsWeightsFit(device, few, others) && (few.norm == nullptr || few.first.k % 4 == 0);
}

void RunNbitsFew(Plan& p, const NbitsFew& few) {
  if (CanDot(p.Device(), few)) return RunDot(p, few);
  const NbitsProduct& q = few.first;
  const Tile t = TileOf(p.Device(), few);
  const uint32_t octets = t.words * 4 / q.bits;  // 8 weights each
  const uint32_t fold = Fold(p.Device(), t);
  const bool x8 = q.k % 8 == 0 && q.x->type == DType::kF16;
  Dispatch d = Common("matmul_nbits_few", few, t.rows, t.wg / t.lanes * t.columns / (few.gated() ? 2 : 1),
                      t.words, x8);
  for (const Const& c : {Const{"X8", x8},
                         {"X4", !x8 && q.k % 4 == 0},
                         {"WG", t.wg},
                         {"LANES", t.lanes},
                         {"COLUMNS_2", t.columns >= 2},
                         {"COLUMNS_4", t.columns >= 4},
                         {"ROWS_4", t.rows == 4},
                         {"OCTETS_2", octets >= 2},
                         {"OCTETS_4", octets >= 4},
                         {"FOLD", fold},
                         {"SUBGROUPS", fold > 1}})
    d.consts.push_back(c);
  p.Run(d);
}

}  // namespace daybreak
