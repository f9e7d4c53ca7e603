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
  d.consts.push_back({"WEIGHTS", few.gated() ? 2u : 1u});
  return d;
}

// --- In integers
// ----------------------------------------------------------------------------------------------------------

// A workgroup of `wg` threads takes `columns` columns, wg / columns slices of K and `rows` rows; a thread has
// `depth` loads on their way. x is prepared for `chunk` loads at a time, and the slices of `pass` rows are
// added at a time.
struct DotTile {
  uint32_t wg, columns, rows, depth, chunk, pass;
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

// Bytes of workgroup memory.
uint32_t BytesOf(const DotTile& t, const NbitsFew& few, uint32_t sg) {
  const uint32_t units = Elements(few.first) / 8, weights = few.gated() ? 2 : 1;
  const uint32_t unit_bytes = few.first.x->type == DType::kF16 ? 16 : 24;
  const uint32_t squares = few.norm ? CeilDiv(t.rows * t.chunk * units, sg) : 0;
  return t.rows * t.chunk * (units * unit_bytes + 8) + 4 * (t.wg * weights * t.pass + squares);
}

DotTile DotTileOf(const DeviceInfo& device, const NbitsFew& few, uint32_t sg) {
  const NbitsProduct& q = few.first;
  const uint32_t runs = Runs(q, q.load_words());
  int64_t results = q.weight.n;
  if (!few.gated())
    for (const NbitsWeight& w : few.more) results += w.w ? w.n : 0;
  const int64_t cores = FactsOf(device.device_class).cores;
  DotTile t{.rows = std::min(std::bit_ceil(q.m), kNbitsFewRows)};
  // A workgroup prepares all of x. One row is soon prepared, and two workgroups on a core fill each other's
  // waits; several rows, or a long one, are prepared by one. On an H100, in us, N x K and one row: 2048 x
  // 8192 took 7.9 with 8 columns and 8.2 with 16, 4096 x 16384 took 17.5 with 32 and 20 with 16; four rows of
  // 8192 x 2048 took 10.3 with 64 and 11.5 with 32.
  const uint32_t amount = runs * t.rows;
  const int64_t groups = t.rows == 1 && runs < 512 ? 2 * cores : cores;
  t.columns = t.rows < 4 ? 32 : 64;
  while (t.columns > 8 && results / t.columns < groups - groups / 16) t.columns /= 2;
  t.columns = std::bit_floor(std::clamp(Forced("dot_columns", t.columns), 8u, 64u));
  // Two loads or more a thread, one or two of them on their way, and the more threads the more there is to
  // prepare; the sums of eight rows leave registers for half of them.
  const uint32_t threads = amount >= 512 && t.rows < 8 ? 1024 : 512;
  const uint32_t most = std::min(threads, device.max_invocations);
  uint32_t slices = std::bit_floor(std::clamp(runs / 2, 1u, most / t.columns));
  slices = std::bit_floor(std::max(Forced("dot_slices", slices), 1u));
  t.wg = std::clamp(slices * t.columns, 64u, std::bit_floor(std::min(1024u, device.max_invocations)));
  slices = t.wg / t.columns;
  t.depth = few.gated() || t.rows > 1 || runs <= slices ? 1 : 2;
  // x for all loads, or for as many as workgroup memory holds beside the sums.
  const uint32_t least = std::max(slices, sg * 8 / Elements(q));
  t.chunk = std::max({std::bit_ceil(runs), slices * t.depth, least});
  t.pass = t.rows;
  while (t.pass > 1 && BytesOf(t, few, sg) > device.workgroup_bytes) t.pass /= 2;
  while (t.chunk > least && BytesOf(t, few, sg) > device.workgroup_bytes) t.chunk /= 2;
  t.depth = std::min(t.depth, t.chunk / slices);
  return t;
}

void RunDot(Plan& p, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const uint32_t sg = LanesOfShuffles(p.Device()), units = Elements(q) / 8;
  const DotTile t = DotTileOf(p.Device(), few, sg);
  Dispatch d = Common("matmul_nbits_dot", few, t.rows, t.columns, q.load_words(), false);
  for (const Const& c : {Const{"X4", q.k % 4 == 0},
                         {"WG", t.wg},
                         {"COLUMNS", t.columns},
                         {"ROWS", t.rows},
                         {"DEPTH", t.depth},
                         {"PASS", t.pass},
                         {"UNITS", units},
                         {"CHUNK", t.chunk},
                         {"PREP", CeilDiv(t.rows * t.chunk * units, t.wg)},
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
