#include "ops/gemm_matrix.h"

#include <algorithm>
#include <utility>

#include "core/variant.h"

namespace daybreak {
namespace {

// The first f16 x f16 -> f32 shape that divides the kernel's tiles. It is preferred square, as hardware is.
const MatrixConfig* ConfigOf(const DeviceInfo& device) {
  const MatrixConfig* best = nullptr;
  for (const MatrixConfig& c : device.matrices) {
    const bool fits = c.component == DType::kF16 && c.result == DType::kF32 && 32 % c.m == 0 &&
                      32 % c.n == 0 && 32 % c.k == 0 && c.k % 8 == 0;
    if (fits && (best == nullptr || c.m * c.n * c.k > best->m * best->n * best->k)) best = &c;
  }
  return best;
}

bool Octets(const Ints& strides) {
  return std::all_of(strides.begin(), strides.end(), [](uint32_t s) { return s % 8 == 0; });
}

// Rows and columns of a workgroup's tile, which is two by two subgroups of two or four matrix units each way.
struct Tile {
  bool rows_4, columns_4;
  uint32_t m(const MatrixConfig& unit) const { return (rows_4 ? 8 : 4) * unit.m; }
  uint32_t n(const MatrixConfig& unit) const { return (columns_4 ? 8 : 4) * unit.n; }
  int64_t count(const MatrixConfig& unit, const Product& q) const {
    return int64_t{CeilDiv(q.m, m(unit))} * CeilDiv(q.n, n(unit)) * q.batches();
  }
};

// Ordered by reuse of operands. Four by four units need so many registers that fewer workgroups hide less
// latency.
constexpr std::pair<const char*, Tile> kTiles[] = {
    {"matrix_2x4", {false, true}}, {"matrix_4x2", {true, false}}, {"matrix_2x2", {false, false}}};

// The kernel's threads stage two or four octets of each operand.
bool Stages(const MatrixConfig& unit, uint32_t threads, const Tile& tile) {
  const auto even = [&](uint32_t side) { return side * 4 == 2 * threads || side * 4 == 4 * threads; };
  return even(tile.m(unit)) && even(tile.n(unit));
}

// Large tiles reuse operands most, but only where they are enough to fill a GPU. nullptr when the device's
// subgroups suit no tile.
const Tile* TileOf(const MatrixConfig& unit, uint32_t threads, const Product& q) {
  const Tile* chosen = nullptr;
  for (const auto& [name, tile] : kTiles) {
    if (!Stages(unit, threads, tile)) continue;
    if (IsForced(name)) return &tile;
    if (chosen == nullptr || chosen->count(unit, q) < 112) chosen = &tile;
  }
  return chosen;
}

}  // namespace

bool FitsMatrixUnits(const DeviceInfo& device, const Product& q, const QuantisedColumns* quantised) {
  const MatrixConfig* unit = ConfigOf(device);
  if (unit == nullptr || device.subgroup_size() == 0 || device.workgroup_bytes < 32768) return false;
  if (q.a->type != DType::kF16 || q.y->type != DType::kF16 || q.a_k != 1 || q.a_m % 8 != 0 || q.k % 8 != 0)
    return false;
  if (!Octets(q.a_batch) || TileOf(*unit, 4 * device.subgroup_size(), q) == nullptr) return false;
  if (quantised != nullptr)
    return q.k % 32 == 0 && quantised->block >= 32 && quantised->scales->type == DType::kF16;
  const bool along_n = q.b_n == 1 && q.b_k % 8 == 0 && q.n % 8 == 0;
  const bool along_k = q.b_k == 1 && q.b_n % 8 == 0;
  return q.b->type == DType::kF16 && (along_n || along_k) && Octets(q.b_batch);
}

namespace {

// The weights in place of B. A thread stages two octets of a column, or four (`four`).
void AddQuantised(Dispatch& d, const QuantisedColumns& columns, uint32_t k, bool four) {
  const uint32_t words = std::min(4u, (four ? 4 : 2) * columns.bits / 4);  // u32 of a load
  const bool typed_zeros = columns.zeros && IsFloat(columns.zeros->type);
  for (const Const& c : {Const{"BITS", columns.bits},
                         {"BLOCK", columns.block},
                         {"WORDS", words},
                         {"TWO_LOADS", four && columns.bits == 8},
                         {"ZEROS_U8", columns.zeros && !typed_zeros},
                         {"ZEROS_T", typed_zeros}})
    d.consts.push_back(c);
  d.params.push_back({"blocks", CeilDiv(k, columns.block)});
  d.in.push_back({"w", columns.w, words, View::kWords});
  d.in.push_back({"scales", columns.scales});
  if (columns.zeros) d.in.push_back({"zeros", columns.zeros, 1, typed_zeros ? View::kTyped : View::kWords});
}

}  // namespace

void MultiplyOnMatrixUnits(Plan& p, const Product& q, const QuantisedColumns* quantised) {
  const MatrixConfig& unit = *ConfigOf(p.Device());
  const uint32_t threads = 4 * p.Device().subgroup_size();
  const Tile& tile = *TileOf(unit, threads, q);
  const uint32_t bits = quantised ? quantised->bits : 0;
  const bool a_4 = tile.m(unit) == threads, b_4 = tile.n(unit) == threads;
  Dispatch d{.shader = "gemm_matrix",
             .consts = {{"WG", threads},
                        {"ROWS_4", tile.rows_4},
                        {"COLUMNS_4", tile.columns_4},
                        {"MM", unit.m},
                        {"MN", unit.n},
                        {"MK", unit.k},
                        {"NBITS", quantised != nullptr},
                        {"B_ALONG_N", !quantised && q.b_n == 1 && q.b_k % 8 == 0 && q.n % 8 == 0},
                        {"BIAS", q.bias != nullptr},
                        {"A_4", a_4},
                        {"B_4", b_4},
                        {"BITS_2", bits == 2},
                        {"BITS_4", bits == 4},
                        {"BITS_8", bits == 8},
                        {"BATCH_RANK", static_cast<uint32_t>(q.batch.size())}},
             .in = {{"a", q.a, 4, View::kWords}},
             .out = {{"y", q.y}},
             .params = {{"batch", q.batch},
                        {"a_batch", q.a_batch},
                        {"b_batch", q.b_batch},
                        {"m", q.m},
                        {"n", q.n},
                        {"k", q.k},
                        {"tiles_m", CeilDiv(q.m, tile.m(unit))},
                        {"tiles_n", CeilDiv(q.n, tile.n(unit))},
                        {"a_m", q.a_m},
                        {"b_k", q.b_k},
                        {"b_n", q.b_n},
                        {"bias_m", q.bias_m},
                        {"bias_n", q.bias_n},
                        {"alpha", q.alpha},
                        {"beta", q.beta}},
             .grid = {tile.count(unit, q)}};
  if (quantised)
    AddQuantised(d, *quantised, q.k, b_4);
  else
    d.in.push_back({"b", q.b, 4, View::kWords});
  if (q.bias) d.in.push_back({"bias", q.bias});
  p.Run(d);
}

}  // namespace daybreak
