// Mixtures of experts on matrix units.
#include <algorithm>

#include "ops/moe.h"

namespace daybreak {
namespace {

constexpr uint32_t kDepth = 32;        // of K, a step of the kernel
constexpr uint32_t kColumns = 128;     // of a workgroup
constexpr uint32_t kBytes = 25 << 10;  // of workgroup memory, at most

// The deepest f16 x f16 -> f32 shape of 16 x 16; nullptr where there is none.
const MatrixConfig* ConfigOf(const DeviceInfo& device) {
  const MatrixConfig* best = nullptr;
  for (const MatrixConfig& c : device.matrices) {
    const bool fits = c.component == DType::kF16 && c.result == DType::kF32 && c.m == 16 && c.n == 16 &&
                      kDepth % c.k == 0 && c.k % 8 == 0;
    if (fits && (best == nullptr || c.k > best->k)) best = &c;
  }
  return best;
}

}  // namespace

bool FitsMatrixUnits(const DeviceInfo& device, const ExpertProduct& q) {
  const uint32_t size = device.subgroup_size();
  if (ConfigOf(device) == nullptr || (size != 32 && size != 64) || device.workgroup_bytes < kBytes)
    return false;
  uint32_t bindings = 5;  // x, y, order, tiles, peaks
  for (const ExpertMatrix& m : {q.first, q.second}) {
    for (const Tensor* t : {m.w, m.scales, m.zeros, m.bias}) bindings += t != nullptr;
    if (m.scales && m.scales->type != DType::kF16) return false;
  }
  return bindings <= device.max_storage_buffers && q.bits != 32 && q.k != 0 && q.k % kDepth == 0 &&
         (q.block == 0 || q.block >= kDepth);
}

void MultiplyTilesOnMatrixUnits(Plan& p, const ExpertProduct& q, const SlotTiles& tiles, bool x_by_token) {
  const uint32_t threads = 4 * p.Device().subgroup_size();
  const uint32_t octets = kColumns * kDepth / 8 / threads;  // of weights, a thread
  const ExpertLoads loads = LoadsOf(q, std::min(4u, octets * q.bits / 4));
  const bool from_f32 = !x_by_token;
  Dispatch d = StartExperts("moe_matrix", q, loads, {"x", q.x, 4, from_f32 ? View::kTyped : View::kWords});
  for (const Const& c : {Const{"WG", threads},
                         {"MK", ConfigOf(p.Device())->k},
                         {"A_ITEMS", kTileRows * kDepth / 8 / threads},
                         {"LOADS", octets * q.bits / 4 / loads.words},
                         {"BITS_2", q.bits == 2},
                         {"BITS_4", q.bits == 4},
                         {"BITS_8", q.bits == 8},
                         {"FROM_F32", from_f32},
                         {"PEAKS", !from_f32}})
    d.consts.push_back(c);
  d.in.push_back({"order", tiles.order});
  d.in.push_back({"tiles", tiles.tiles, 4});
  if (from_f32)
    d.in.push_back({"peaks", tiles.peaks});
  else
    d.out.push_back({"peaks", tiles.peaks, 1, View::kAtomic});
  d.params.push_back({"k", q.k});
  d.params.push_back({"row_tiles", tiles.count});
  d.params.push_back({"x_first", x_by_token ? 0u : tiles.first});
  d.params.push_back({"first", tiles.first});
  d.grid = {int64_t{tiles.count} * CeilDiv(q.columns(), kColumns)};
  p.Run(d);
}

}  // namespace daybreak
