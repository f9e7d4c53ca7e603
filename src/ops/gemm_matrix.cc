#include "ops/gemm_matrix.h"

#include <algorithm>

#include "core/device_class.h"
#include "core/variant.h"

namespace daybreak {
namespace {

constexpr uint32_t kStep = 32;  // divides every step of the kernel along K

// The first f16 x f16 -> f32 shape that divides the kernel's tiles. It is preferred square, as hardware is.
const MatrixConfig* ConfigOf(const DeviceInfo& device) {
  const MatrixConfig* best = nullptr;
  for (const MatrixConfig& c : device.matrices) {
    const bool fits = c.component == DType::kF16 && c.result == DType::kF32 && kStep % c.m == 0 &&
                      kStep % c.n == 0 && kStep % c.k == 0 && c.k % 8 == 0 && c.n % 8 == 0;
    if (fits && (best == nullptr || c.m * c.n * c.k > best->m * best->n * best->k)) best = &c;
  }
  return best;
}

bool Octets(const Ints& strides) {
  return std::all_of(strides.begin(), strides.end(), [](uint32_t s) { return s % 8 == 0; });
}

// Rows, columns and batches of all the results, and K; octets of B that a thread stages at least.
struct Extent {
  uint32_t m, n, k, batches, octets = 2;
};

Extent ExtentOf(const Product& q) { return {q.m, q.n, q.k, q.batches()}; }
Extent ExtentOf(const NbitsFew& few) {
  uint32_t n = few.first.weight.n;
  for (const NbitsWeight& w : few.more) n += w.n;
  // A thread shares its octets between the weights of a gate, and loads whole words of each.
  return {few.first.m, n, few.first.k, 1, few.gated() && few.first.bits == 2 ? 4u : 2u};
}

// Microseconds that workgroups take which run side by side: at first and for their results, and for 64 of K.
struct Pace {
  float once, step;
};

// A workgroup is `subs_m` by `subs_n` subgroups of `rows` by `columns` matrix units, `subs_k` times, takes
// `depth` of K a step, and shares K with `slices` - 1 others.
struct Tile {
  const char* name;
  uint32_t subs_m, subs_n, subs_k, rows, columns, depth;
  uint32_t per_core;   // workgroups that a core runs at a time
  Pace alone, shared;  // with one workgroup a core, and with more
  uint32_t slices = 1;
  uint32_t subs() const { return subs_m * subs_n * subs_k; }
  uint32_t m(const MatrixConfig& unit) const { return subs_m * rows * unit.m; }
  uint32_t n(const MatrixConfig& unit) const { return subs_n * columns * unit.n; }
  int64_t count(const MatrixConfig& unit, const Extent& e) const {
    return int64_t{CeilDiv(e.m, m(unit))} * CeilDiv(e.n, n(unit)) * e.batches;
  }
  // Workgroup memory: staged rows of both operands, or strips of two units of results a subgroup.
  uint32_t bytes(const MatrixConfig& unit) const {
    const uint32_t row = depth / 8 + 1, along_n = depth * (n(unit) / 8 + 1);
    return 16 *
           std::max(m(unit) * row + std::max(n(unit) * row, along_n), subs() * unit.m * (unit.n / 2 + 1));
  }
};

// Measured on an H100 with weights of four bits and units of 16 x 16. Its driver gives 48 KiB to the
// workgroups of a core and ends loads at barriers, so that a workgroup waits for memory at each step. Where
// there are two for each core, tiles of 128 x 128 in four subgroups are fastest: they reuse most, and a
// second one takes little longer than one of its own. Fewer workgroups wait less often with more subgroups
// and longer steps, and those of few rows with subgroups that share out K. With Apple's units of 8 x 8 sides
// are half as long; all but the second and the last fit 32 KiB, what Apple, Qualcomm and many others give at
// most.
constexpr Tile kTiles[] = {{"matrix_4x4", 2, 2, 1, 4, 4, 32, 2, {1.5F, 1.42F}, {10, 1.5F}},
                           {"matrix_8_2x4", 4, 2, 1, 2, 4, 64, 1, {4.1F, 0.92F}, {4.1F, 0.92F}},
                           {"matrix_8_2x2", 2, 4, 1, 2, 2, 64, 1, {1, 0.81F}, {1, 0.81F}},
                           {"matrix_2x2", 2, 2, 1, 2, 2, 64, 2, {3, 0.75F}, {3, 0.8F}},
                           {"matrix_k8_1x2", 1, 1, 8, 1, 2, 256, 1, {1, 0.26F}, {1, 0.26F}},
                           {"matrix_k8_2x2", 1, 1, 8, 2, 2, 256, 1, {3.8F, 0.24F}, {3.8F, 0.24F}}};

// The kernel's threads stage whole octets of each operand, of B at most four of a column.
bool Suits(const DeviceInfo& device, const MatrixConfig& unit, const Extent& e, const Tile& tile) {
  const uint32_t threads = tile.subs() * device.subgroup_size(), n = tile.n(unit), octets = tile.depth / 8;
  const uint32_t a = tile.m(unit) * octets, b = n * octets;
  return tile.depth % (tile.subs_k * unit.k) == 0 && threads <= device.max_invocations &&
         tile.bytes(unit) <= device.workgroup_bytes && threads % n == 0 && a % threads == 0 &&
         (b == 2 * threads || b == 4 * threads) && b >= e.octets * threads;
}

constexpr uint32_t kSlice = 512, kMaxSlices = 8;  // shortest K of a slice, and most slices
constexpr float kSum = 6, kSumOfMega = 1.2F;      // microseconds of the sum, and for a million partial sums

// An estimate of the time that the product takes with this tile, in microseconds of an H100: other devices
// differ in scale and less in order.
float Cost(int64_t cores, const MatrixConfig& unit, const Extent& e, const Tile& tile) {
  const int64_t count = tile.count(unit, e) * tile.slices;
  const Pace& pace = count <= cores ? tile.alone : tile.shared;
  const auto slices = static_cast<float>(tile.slices);
  const float wave = pace.once + pace.step * static_cast<float>(e.k) / (64 * slices);
  const float parts = slices * static_cast<float>(e.m) * static_cast<float>(e.n) / 1e6F;
  return static_cast<float>(CeilDiv(count, cores * tile.per_core)) * wave +
         (tile.slices > 1 ? kSum + kSumOfMega * parts : 0);
}

// The tile, and the slices if K may be divided (`sliceable`), that take least time or are asked for. No rows
// when the device's subgroups suit no tile.
Tile TileOf(const DeviceInfo& device, const MatrixConfig& unit, const Extent& e, bool sliceable) {
  const int64_t cores = FactsOf(device.device_class).cores;
  const uint32_t asked = IsForced("matrix_sliced") ? 3 : Forced("matrix_slices", 0);
  const bool asks =
      std::any_of(std::begin(kTiles), std::end(kTiles), [](const Tile& t) { return IsForced(t.name); });
  Tile best{};
  for (Tile tile : kTiles) {
    if (e.k % tile.depth != 0) tile.depth = kStep;
    if (!Suits(device, unit, e, tile) || (asks && !IsForced(tile.name) && best.rows != 0)) continue;
    if (asks && IsForced(tile.name)) best = {};
    const uint32_t steps = CeilDiv(e.k, tile.depth);
    const uint32_t most = !sliceable   ? 1
                          : asked != 0 ? asked
                          : asks       ? 1
                                       : std::clamp(e.k / kSlice, 1u, kMaxSlices);
    for (uint32_t slices = asked != 0 ? most : 1; slices <= most; ++slices) {
      tile.slices = CeilDiv(steps, CeilDiv(steps, slices));  // none is empty
      if (best.rows == 0 || Cost(cores, unit, e, tile) < Cost(cores, unit, e, best)) best = tile;
    }
  }
  return best;
}

bool Fits(const DeviceInfo& device, const Extent& e) {
  const MatrixConfig* unit = ConfigOf(device);
  return unit != nullptr && device.subgroup_size() != 0 && TileOf(device, *unit, e, false).rows != 0;
}

// What both kinds of product have in common; A and B are added by the caller.
struct Launch {
  const MatrixConfig& unit;
  Tile tile;
  Extent extent;
  uint32_t b_items;  // octets of B that a thread stages
  Dispatch dispatch;
};

Launch Common(Plan& p, const Extent& e, const Tensor* a, uint32_t a_m, bool slices) {
  const MatrixConfig& unit = *ConfigOf(p.Device());
  const Tile tile = TileOf(p.Device(), unit, e, slices);
  const uint32_t threads = tile.subs() * p.Device().subgroup_size();
  Launch launch{unit, tile, e, tile.n(unit) * tile.depth / 8 / threads, {}};
  launch.dispatch = {.shader = "gemm_matrix",
                     .consts = {{"WG", threads},
                                {"SUBS", tile.subs()},
                                {"SUBS_N", tile.subs_n},
                                {"SUBS_K", tile.subs_k},
                                {"ROWS", tile.rows},
                                {"COLUMNS", tile.columns},
                                {"PAIRS", tile.columns / 2},
                                {"MM", unit.m},
                                {"MN", unit.n},
                                {"MK", unit.k},
                                {"DEPTH", tile.depth},
                                {"A_ITEMS", tile.m(unit) * tile.depth / 8 / threads},
                                {"B_ITEMS", launch.b_items},
                                {"WHOLE_K", e.k % tile.depth == 0},
                                {"SLICED", tile.slices > 1}},
                     .in = {{"a", a, 4, View::kWords}},
                     .params = {{"m", e.m},
                                {"k", e.k},
                                {"tiles_m", CeilDiv(e.m, tile.m(unit))},
                                {"a_m", a_m},
                                {"slice", CeilDiv(CeilDiv(e.k, tile.depth), tile.slices) * tile.depth}}};
  return launch;
}

void Add(Dispatch& d, std::initializer_list<Const> consts) {
  for (const Const& c : consts) d.consts.push_back(c);
}

struct Sum {
  const Tensor *part, *bias, *y;
  uint32_t bias_m, bias_n;
  float alpha, beta;
};

void AddSlices(Plan& p, const Launch& launch, const Sum& sum) {
  const Extent& e = launch.extent;
  Dispatch d{.shader = "gemm_matrix_sum",
             .consts = {{"BIAS", sum.bias != nullptr}, {"SLICES", launch.tile.slices}},
             .in = {{"part", sum.part, 4}},
             .out = {{"y", sum.y, 4}},
             .params = {{"size", U32(sum.y->count())},
                        {"n", e.n},
                        {"rows", U32(sum.part->shape[1])},
                        {"columns", U32(sum.part->shape[2])},
                        {"bias_m", sum.bias_m},
                        {"bias_n", sum.bias_n},
                        {"alpha", sum.alpha},
                        {"beta", sum.beta}},
             .grid = {CeilDiv<int64_t>(sum.y->count(), 256)}};
  if (sum.bias) d.in.push_back({"bias", sum.bias});
  p.Run(d);
}

// Memory for the partial sums of whole tiles.
const Tensor* Parts(Plan& p, const Launch& launch) {
  const int64_t rows = launch.tile.m(launch.unit), columns = launch.tile.n(launch.unit);
  return p.Scratch(DType::kF32, {launch.tile.slices, CeilDiv<int64_t>(launch.extent.m, rows) * rows,
                                 CeilDiv<int64_t>(launch.extent.n, columns) * columns});
}

}  // namespace

bool FitsMatrixUnits(const DeviceInfo& device, const Product& q) {
  if (q.a->type != DType::kF16 || q.y->type != DType::kF16 || q.a_k != 1 || q.a_m % 8 != 0 || q.k % 8 != 0)
    return false;
  const bool along_n = q.b_n == 1 && q.b_k % 8 == 0 && q.n % 8 == 0;
  const bool along_k = q.b_k == 1 && q.b_n % 8 == 0;
  return q.b->type == DType::kF16 && (along_n || along_k) && Octets(q.a_batch) && Octets(q.b_batch) &&
         Fits(device, ExtentOf(q));
}

bool FitsMatrixUnits(const DeviceInfo& device, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  return q.x->type == DType::kF16 && q.weight.y->type == DType::kF16 &&
         q.weight.scales->type == DType::kF16 && q.k % kStep == 0 && q.block >= kStep &&
         NbitsWeightsFit(device, few, 1) && Fits(device, ExtentOf(few));
}

void MultiplyOnMatrixUnits(Plan& p, const Product& q) {
  const bool sliceable = q.batches() == 1 && q.n % 4 == 0 && q.k % kStep == 0;
  Launch launch = Common(p, ExtentOf(q), q.a, q.a_m, sliceable);
  Dispatch& d = launch.dispatch;
  const uint32_t tiles_n = CeilDiv(q.n, launch.tile.n(launch.unit));
  const bool sliced = launch.tile.slices > 1, whole_n = q.n % 8 == 0 && !sliced;
  const Tensor* y = sliced ? Parts(p, launch) : q.y;
  Add(d, {{"DENSE", true},
          {"GATED", false},
          {"WHOLE_N", whole_n},
          {"B_ALONG_N", q.b_n == 1 && q.b_k % 8 == 0 && q.n % 8 == 0},
          {"BIAS", q.bias != nullptr && !sliced},
          {"BATCH_RANK", static_cast<uint32_t>(q.batch.size())}});
  for (const Param& param : {Param{"batch", q.batch},
                             {"a_batch", q.a_batch},
                             {"b_batch", q.b_batch},
                             {"n", q.n},
                             {"tiles_n", tiles_n},
                             {"b_k", q.b_k},
                             {"b_n", q.b_n},
                             {"bias_m", q.bias_m},
                             {"bias_n", q.bias_n},
                             {"alpha", q.alpha},
                             {"beta", q.beta}})
    d.params.push_back(param);
  d.in.push_back({"b", q.b, 4, View::kWords});
  if (q.bias && !sliced) d.in.push_back({"bias", q.bias});
  d.out.push_back({"y", y, whole_n || sliced ? 4u : 1u, whole_n ? View::kWords : View::kTyped});
  d.grid = {launch.tile.count(launch.unit, launch.extent) * launch.tile.slices};
  p.Run(d);
  if (sliced) AddSlices(p, launch, {y, q.bias, q.y, q.bias_m, q.bias_n, q.alpha, q.beta});
}

void MultiplyOnMatrixUnits(Plan& p, const NbitsFew& few) {
  const NbitsProduct& q = few.first;
  const uint32_t n = q.weight.n, n1 = few.more[0].n;
  Launch launch = Common(p, ExtentOf(few), q.x, q.k, few.more[0].w == nullptr && n % 4 == 0);
  Dispatch& d = launch.dispatch;
  const bool sliced = launch.tile.slices > 1, whole_n = n % 8 == 0 && n1 % 8 == 0 && !sliced;
  NbitsFew product = few;
  if (sliced) {
    product.first.weight.y = Parts(p, launch);
    product.first.weight.bias = nullptr;
  }
  const uint32_t sides = few.gated() ? 2 : 1;
  const uint32_t words = launch.b_items / sides * q.bits / 4;  // u32 of a matrix that a thread stages
  const uint32_t matrices = few.more[1].w != nullptr ? 3 : few.more[0].w != nullptr ? 2 : 1;
  Add(d, {{"DENSE", false},
          {"WHOLE_N", whole_n},
          {"B_ALONG_N", false},
          {"MATRICES", matrices},
          {"B_SIDE", launch.b_items / sides},
          {"MORE_Y", few.more[0].w != nullptr && !few.gated()},
          {"BITS_2", q.bits == 2},
          {"BITS_4", q.bits == 4},
          {"BITS_8", q.bits == 8},
          {"TWO_LOADS", words > 4}});
  AddNbitsWeights(d, product, std::min(4u, words), whole_n || sliced ? 4 : 1,
                  whole_n ? View::kWords : View::kTyped);
  const uint32_t tile_n = launch.tile.n(launch.unit), columns = few.gated() ? tile_n / 2 : tile_n;
  const uint32_t tiles = CeilDiv(n, columns), tiles1 = few.gated() ? 0 : CeilDiv(n1, columns);
  for (const Param& param :
       {Param{"n", n}, {"n1", n1}, {"tiles_n", tiles}, {"tiles1", tiles1}, {"blocks", q.blocks()}})
    d.params.push_back(param);
  const int64_t all = tiles + int64_t{tiles1} * (few.more[1].w != nullptr ? 2 : 1);
  d.grid = {all * CeilDiv(q.m, launch.tile.m(launch.unit)) * launch.tile.slices};
  p.Run(d);
  if (sliced) AddSlices(p, launch, {product.first.weight.y, q.weight.bias, q.weight.y, 0, 1, 1, 1});
}

}  // namespace daybreak
