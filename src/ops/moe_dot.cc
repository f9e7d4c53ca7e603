// Mixtures of experts for few tokens in packed integer products.
#include <algorithm>
#include <bit>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/moe.h"

namespace daybreak {
namespace {

// A team of `lanes` threads of a workgroup of `wg` takes `columns` columns; x is prepared for `chunk` loads
// at a time.
struct Tile {
  uint32_t wg, lanes, columns, chunk;
};

uint32_t UnitsOf(const ExpertProduct& q, const ExpertLoads& loads) { return loads.words * 4 / q.bits; }

// `runs`: loads of a column; `jobs`: rows of the result.
Tile TileOf(const DeviceInfo& device, const ExpertProduct& q, uint32_t units, uint32_t runs, uint32_t jobs) {
  const int64_t columns = int64_t{q.columns()} * jobs;
  const int64_t fill = FactsOf(device.device_class).dot_threads;
  Tile t{.wg = 256, .lanes = 32, .columns = 2, .chunk = std::max(16u, std::bit_ceil(runs))};
  const auto threads = [&] { return columns / t.columns * t.lanes; };
  // Preparing x takes each workgroup a while; more threads of it take less.
  t.wg = std::min(std::clamp(std::bit_ceil(runs * units / 2), 256u, 1024u), device.max_invocations);
  // Two loads of a column a thread, one of them on its way.
  t.lanes = std::clamp(std::bit_floor(std::max(runs / 2, 1u)), std::min(device.subgroup_min, 32u), 128u);
  if (runs >= 4 * t.lanes && threads() >= 2 * fill) t.columns = 4;
  if (q.gate == Gate::kNone && threads() < fill) t.columns = 1;
  while (threads() < fill && t.lanes < std::min(runs, t.wg)) t.lanes *= 2;
  // Workgroup memory for as many loads as it holds.
  const uint32_t load_bytes = units * (q.x->type == DType::kF16 ? 16 : 24) + 8;
  const uint32_t other_bytes = 4 * t.wg / 8 * t.columns;
  while (t.chunk > 16 && t.chunk * load_bytes + other_bytes > device.workgroup_bytes) t.chunk /= 2;
  t.lanes = std::min(t.lanes, t.chunk);
  return t;
}

}  // namespace

// A processor has no packed products.
bool CanMultiplyInIntegers(const DeviceInfo& device, const ExpertProduct& q) {
  const bool wanted = device.device_class != DeviceClass::kSoftware || IsForced("moe_dot");
  const ExpertLoads loads = LoadsOf(q, 4);
  const uint32_t units = UnitsOf(q, loads);
  return wanted && !IsForced("moe_team") && q.bits <= 8 && loads.aligned && units >= 2 && device.subgroups &&
         device.subgroup_min >= std::max(8u, units);
}

void MultiplySlotsInIntegers(Plan& p, const ExpertProduct& q, const Routes& routes, bool mixed) {
  const DeviceInfo& device = p.Device();
  const ExpertLoads loads = LoadsOf(q, 4);
  const uint32_t jobs = routes.tokens * (mixed ? 1 : routes.top), parts = mixed ? routes.top : 1;
  const uint32_t units = UnitsOf(q, loads), runs = loads.runs * parts;
  const uint32_t sg = std::min(device.subgroup_min, 32u);
  const Tile t = TileOf(device, q, units, runs, jobs);
  const uint32_t tiles = CeilDiv(q.columns(), t.wg / t.lanes * t.columns);
  Dispatch d = StartExperts("moe_dot", q, loads, {"x", q.x, 4});
  for (const Const& c : {Const{"WG", t.wg},
                         {"LANES", t.lanes},
                         {"COLUMNS", t.columns},
                         {"UNITS", units},
                         {"CHUNK", t.chunk},
                         {"PREP", CeilDiv(t.chunk * units, t.wg)},
                         {"SG", sg},
                         {"WHOLE", device.subgroup_size() == sg},
                         {"ROWS", 1u},
                         {"MIXED", mixed},
                         {"X4", true},
                         {"SKIP", false},
                         {"NORM", false},
                         {"SUM", false},
                         {"DIGITS_3", q.x->type != DType::kF16}})
    d.consts.push_back(c);
  d.in.push_back({"experts", routes.experts});
  if (mixed) d.in.push_back({"routed", routes.shares});
  for (const Param& param : {Param{"m", U32(q.x->count() / (int64_t{q.k} * parts))},
                             {"k", q.k * parts},
                             {"runs", runs},
                             {"parts", parts},
                             {"tiles", tiles}})
    d.params.push_back(param);
  d.grid = {int64_t{jobs} * tiles};
  p.Run(d);
}

}  // namespace daybreak
