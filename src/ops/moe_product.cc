#include <algorithm>
#include <bit>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/moe.h"

namespace daybreak {
namespace {

constexpr uint32_t kTileColumns = 64;  // of moe_tile

void AddMatrix(Dispatch& d, const ExpertMatrix& m, const ExpertLoads& loads, bool second) {
  const uint32_t width = loads.aligned ? loads.words : 1;
  d.in.push_back({second ? "w1" : "w", m.w, width, View::kWords});
  if (m.scales) d.in.push_back({second ? "scales1" : "scales", m.scales});
  if (m.zeros) d.in.push_back({second ? "zeros1" : "zeros", m.zeros, 1, View::kWords});
  if (m.bias) d.in.push_back({second ? "bias1" : "bias", m.bias});
}

void AddQuantised(Dispatch& d, const ExpertProduct& q) {
  d.params.push_back({"block_shift", q.block == 0 ? 31u : static_cast<uint32_t>(std::countr_zero(q.block))});
  d.params.push_back({"blocks", q.blocks()});
  const Tensor* zeros = q.first.zeros ? q.first.zeros : q.second.zeros;
  if (zeros == nullptr) return;
  const bool by_row = zeros->shape.size() == 3;  // else all rows of an expert are packed together
  const uint32_t row = by_row ? 8 * U32(zeros->shape[2]) : q.bits;
  d.params.push_back({"zero_row", row});
  d.params.push_back({"zero_expert", by_row ? row * q.rows() : 8 * U32(zeros->shape[1])});
}

// A team of `lanes` threads computes `columns` columns.
struct Team {
  uint32_t wg, lanes, columns;
  uint32_t groups(const ExpertProduct& q) const { return CeilDiv(q.columns(), wg / lanes * columns); }
};

// Loads of at most 32 weights; of eight for several rows on a processor, whose registers hold no more sums.
ExpertLoads TeamLoads(const DeviceInfo& device, const ExpertProduct& q, bool rows) {
  const bool short_loads = rows && device.device_class == DeviceClass::kSoftware && !IsForced("moe_team");
  return LoadsOf(q, short_loads ? std::clamp(q.bits / 4, 1u, 4u) : q.bits == 2 ? 2 : 4);
}

// Teams as wide as it takes to fill the device, of which lanes without a load are at most one in seven; fewer
// columns make more teams. A processor shares the loads of x between columns, and wants no teams.
Team TeamOf(const DeviceInfo& device, const ExpertProduct& q, uint32_t runs, uint32_t jobs) {
  Team t{.wg = 32, .lanes = 1, .columns = 4};
  if (device.device_class == DeviceClass::kSoftware && !IsForced("moe_team")) return t;
  const int64_t fill = FactsOf(device.device_class).team_threads;
  const int64_t columns = int64_t{q.columns()} * jobs;
  uint32_t widest = 8;
  for (uint32_t lanes = 16; lanes <= std::min(256u, device.max_invocations); lanes *= 2)
    if (CeilDiv(runs, lanes) * lanes <= runs + runs / 6) widest = lanes;
  const uint32_t least = q.gate == Gate::kNone ? 1 : 2;
  while (t.columns > least && columns / t.columns * widest < fill / 2) t.columns /= 2;
  t.lanes = std::min(16u, widest);
  while (t.lanes < widest && columns / t.columns * t.lanes < fill) t.lanes *= 2;
  t.wg = std::max(128u, t.lanes);
  return t;
}

void AddTeam(Dispatch& d, const DeviceInfo& device, const Team& team, const ExpertProduct& q,
             const ExpertLoads& loads) {
  const uint32_t size = device.subgroups ? device.subgroup_size() : 0;
  for (const Const& c : {Const{"WG", team.wg},
                         {"TEAM", team.lanes},
                         {"COLUMNS", team.columns},
                         {"QUADS", loads.words * 8 / q.bits},
                         {"SUBGROUPS", size != 0},
                         {"SG", std::max(size, 1u)}})
    d.consts.push_back(c);
}

// A dispatch of a kernel that reads x as numbers, by four where rows allow it.
Dispatch Start(const char* shader, const ExpertProduct& q, const ExpertLoads& loads) {
  const bool x4 = q.k % 4 == 0;
  Dispatch d = StartExperts(shader, q, loads, {"x", q.x, x4 ? 4u : 1u});
  d.consts.push_back({"X4", x4});
  d.params.push_back({"k", q.k});
  return d;
}

}  // namespace

ExpertLoads LoadsOf(const ExpertProduct& q, uint32_t widest) {
  const uint32_t row_bits = q.k * q.bits;
  uint32_t words = widest;
  if (q.block != 0) words = std::min(words, std::max(q.block * q.bits / 32, 1u));
  const uint32_t least = std::max(q.bits / 8, 1u);  // a load holds at least four weights
  while (words > least && row_bits % (32 * words) != 0) words /= 2;
  const bool aligned = row_bits % (32 * words) == 0;
  if (!aligned) words = least;
  return {.words = words, .aligned = aligned, .runs = CeilDiv(row_bits, 32 * words)};
}

Dispatch StartExperts(const char* shader, const ExpertProduct& q, const ExpertLoads& loads, Bind x) {
  constexpr const char* kWords[] = {"", "u32", "vec2<u32>", "", "vec4<u32>"};
  const bool quantised = q.bits <= 8;
  Dispatch d{.shader = shader,
             .consts = {{"BITS", q.bits},
                        {"QUANTISED", quantised},
                        {"HALVES", q.bits == 16},
                        {"WORDS", loads.words},
                        {"WIDE", loads.words > 1},
                        {"words_t", kWords[loads.words]},
                        {"ALIGNED", loads.aligned},
                        {"GATED", q.gate != Gate::kNone},
                        {"INTERLEAVED", q.gate == Gate::kInterleaved},
                        {"SECOND", q.gate == Gate::kSecond},
                        {"ZEROS", q.first.zeros != nullptr},
                        {"ZEROS1", q.second.zeros != nullptr},
                        {"ANY_ZEROS", q.first.zeros || q.second.zeros},
                        {"BIAS", q.first.bias != nullptr},
                        {"BIAS1", q.second.bias != nullptr},
                        {"functions", Code{q.functions}}},
             .in = {x},
             .out = {{"y", q.y}},
             .params = {{"n", q.n}, {"row_runs", loads.runs}, {"share", q.share}}};
  AddMatrix(d, q.first, loads, false);
  if (q.second.w) AddMatrix(d, q.second, loads, true);
  if (quantised) AddQuantised(d, q);
  if (!loads.aligned) {
    d.params.push_back({"row_bytes", q.k * q.bits / 8});
    d.params.push_back({"last_word", U32(CeilDiv<int64_t>(static_cast<int64_t>(q.first.w->bytes()), 4)) - 1});
  }
  if (q.swiglu)
    for (const Param& param : {Param{"alpha", q.alpha}, {"beta", q.beta}, {"limit", q.limit}})
      d.params.push_back(param);
  return d;
}

void MultiplySlots(Plan& p, const ExpertProduct& q, const Routes& routes, bool mixed) {
  if (CanMultiplyInIntegers(p.Device(), q)) return MultiplySlotsInIntegers(p, q, routes, mixed);
  const ExpertLoads loads = TeamLoads(p.Device(), q, false);
  const uint32_t jobs = routes.tokens * (mixed ? 1 : routes.top), parts = mixed ? routes.top : 1;
  const Team team = TeamOf(p.Device(), q, loads.runs * parts, jobs);
  Dispatch d = Start("moe_few", q, loads);
  AddTeam(d, p.Device(), team, q, loads);
  d.consts.push_back({"MIXED", mixed});
  d.in.push_back({"experts", routes.experts});
  if (mixed) d.in.push_back({"routed", routes.shares});
  d.params.push_back({"parts", parts});
  d.params.push_back({"tiles", team.groups(q)});
  d.grid = {int64_t{jobs} * team.groups(q)};
  p.Run(d);
}

SlotTiles SortSlots(Plan& p, const Routes& routes, uint32_t first_token, uint32_t tokens, uint32_t rows,
                    bool peaks) {
  SlotTiles t{.first = first_token * routes.top, .slots = tokens * routes.top};
  const uint32_t used = std::min(t.slots, routes.count);  // experts with a slot, at most
  t.count = used + (t.slots - used) / rows;
  t.order = p.Scratch(DType::kU32, {t.slots});
  t.tiles = p.Scratch(DType::kU32, {t.count, 4});
  Dispatch d{.shader = "moe_sort",
             .consts = {{"WG", std::min(1024u, p.Device().max_invocations)},
                        {"CAP", std::max(64u, std::bit_ceil(routes.count))},
                        {"PEAKS", peaks}},
             .in = {{"experts", routes.experts}, {"shares", routes.shares}},
             .out = {{"order", t.order}, {"tiles", t.tiles, 4}},
             .params = {{"first", t.first},
                        {"slots", t.slots},
                        {"experts", routes.count},
                        {"rows", rows},
                        {"tiles", t.count}}};
  if (peaks) {
    t.peaks = p.Scratch(DType::kU32, {t.slots});
    d.out.push_back({"peaks", t.peaks});
  }
  p.Run(d);
  return t;
}

namespace {

void AddTiles(Dispatch& d, const SlotTiles& tiles, bool x_by_token) {
  d.in.push_back({"order", tiles.order});
  d.in.push_back({"tiles", tiles.tiles, 4});
  d.params.push_back({"row_tiles", tiles.count});
  d.params.push_back({"x_first", x_by_token ? 0u : tiles.first});
  d.params.push_back({"first", tiles.first});
}

}  // namespace

void MultiplyFewRows(Plan& p, const ExpertProduct& q, const SlotTiles& tiles, bool x_by_token) {
  const ExpertLoads loads = TeamLoads(p.Device(), q, true);
  const Team team = TeamOf(p.Device(), q, loads.runs, tiles.count);
  Dispatch d = Start("moe_rows", q, loads);
  AddTeam(d, p.Device(), team, q, loads);
  d.consts.push_back({"ROWS", kFewRows});
  AddTiles(d, tiles, x_by_token);
  d.grid = {int64_t{tiles.count} * team.groups(q)};
  p.Run(d);
}

void MultiplyTiles(Plan& p, const ExpertProduct& q, const SlotTiles& tiles, bool x_by_token) {
  Dispatch d = Start("moe_tile", q, LoadsOf(q, std::max(q.bits / 8, 1u)));
  AddTiles(d, tiles, x_by_token);
  d.grid = {int64_t{tiles.count} * CeilDiv(q.columns(), kTileColumns)};
  p.Run(d);
}

}  // namespace daybreak
