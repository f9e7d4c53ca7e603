// LayerNormalization, RMSNormalization, their simplified and skip forms: one kernel, one description.
#include "ops/norm.h"

#include <algorithm>
#include <bit>

namespace daybreak {
namespace {

struct Tile {
  uint32_t wg, team, per;
};

// Few rows need many threads a row for latency, many rows more work a thread; both keep a row in registers.
Tile TileOf(const DeviceInfo& device, int64_t rows, int64_t vecs) {
  const bool few = rows < 128 && !device.software;
  const uint32_t most = device.software ? 32 : 256;
  const auto want = static_cast<uint64_t>(CeilDiv<int64_t>(vecs, few ? 2 : 4));
  const auto team = static_cast<uint32_t>(std::clamp<uint64_t>(std::bit_ceil(want), 1, most));
  const auto per = static_cast<uint32_t>(
      std::min<uint64_t>(8, std::bit_ceil(static_cast<uint64_t>(CeilDiv<int64_t>(vecs, team)))));
  return {std::max(team, device.software ? 32u : 64u), team, per};
}

void CheckRow(const char* name, const Tensor* t, int64_t cols) {
  Check(t == nullptr || t->count() == cols, "Normalization: ", name, " has shape ",
        t ? ToString(t->shape) : "", ", but the rows have ", cols, " elements.");
}

}  // namespace

void RunNorm(Plan& p, const Norm& n) {
  const int64_t rows = n.cols ? n.x->count() / n.cols : 0;
  if (rows == 0) return;
  CheckRow("scale", n.scale, n.cols);
  CheckRow("bias", n.bias, n.cols);
  CheckRow("beta", n.beta, n.cols);
  if (n.skip)
    Check(n.skip->count() > 0 && n.skip->count() % n.cols == 0 && n.x->count() % n.skip->count() == 0,
          "Normalization: skip ", ToString(n.skip->shape), " does not broadcast to ", ToString(n.x->shape),
          ".");

  const DeviceInfo& device = p.Device();
  const uint32_t width = n.cols % 4 == 0 ? 4 : 1;
  const int64_t vecs = n.cols / width;
  const Tile tile = TileOf(device, rows, vecs);
  const bool subgroups = device.subgroups && device.subgroup_size() > 0;

  Dispatch d{.shader = "norm",
             .consts = {{"WG", tile.wg},
                        {"TEAM", tile.team},
                        {"PER", tile.per},
                        {"CENTER", n.center},
                        {"SUBGROUPS", subgroups},
                        {"SG", subgroups ? device.subgroup_size() : 1u},
                        {"V", width == 4 ? "vec4<f32>" : "f32"},
                        {"VECTOR", width == 4},
                        {"SKIP", n.skip != nullptr},
                        {"BIAS", n.bias != nullptr},
                        {"BETA", n.beta != nullptr},
                        {"SUM", n.sum != nullptr},
                        {"MEAN_OUT", n.mean != nullptr},
                        {"INV_OUT", n.inv != nullptr}},
             .in = {{"x", n.x, width}, {"scale", n.scale, width}},
             .out = {{"y", n.y, width}},
             .params = {{"rows", U32(rows)},
                        {"cols", U32(n.cols)},
                        {"vecs", U32(vecs)},
                        {"skip_rows", U32(n.skip ? n.skip->count() / n.cols : 1)},
                        {"eps", n.eps}},
             .grid = {CeilDiv<int64_t>(rows, tile.wg / tile.team)}};
  if (n.skip) d.in.push_back({"skip", n.skip, width});
  if (n.bias) d.in.push_back({"bias", n.bias, width});
  if (n.beta) d.in.push_back({"beta", n.beta, width});
  if (n.sum) d.out.push_back({"sum", n.sum, width});
  if (n.mean) d.out.push_back({"mean_out", n.mean});
  if (n.inv) d.out.push_back({"inv_out", n.inv});
  p.Run(d);
}

namespace {

// x's shape with the normalised dimensions set to 1: the shape of the statistics.
Shape StatShape(const Shape& x, size_t axis) {
  Shape s = x;
  for (size_t i = axis; i < s.size(); ++i) s[i] = 1;
  return s;
}

void LayerNorm(Plan& p) {
  const Tensor* x = p.In(0);
  const size_t axis = WrapAxis(p.Attr("axis", -1), x->shape.size());
  Norm n{.x = x, .scale = p.In(1), .beta = p.In(2), .center = true, .eps = p.Attr("epsilon", 1e-5f)};
  n.cols = Count(x->shape, axis, x->shape.size());
  n.y = p.Out(0, x->shape);
  n.mean = p.Out(1, StatShape(x->shape, axis));
  n.inv = p.Out(2, StatShape(x->shape, axis));
  RunNorm(p, n);
}

void RmsNorm(Plan& p) {
  const Tensor* x = p.In(0);
  const size_t axis = WrapAxis(p.Attr("axis", -1), x->shape.size());
  Norm n{.x = x, .scale = p.In(1), .eps = p.Attr("epsilon", 1e-5f)};
  n.cols = Count(x->shape, axis, x->shape.size());
  n.y = p.Out(0, x->shape);
  n.inv = p.Out(1, StatShape(x->shape, axis));
  RunNorm(p, n);
}

// Inputs after skip: gamma, then beta (LayerNormalization only) and the bias that joins x + skip.
void SkipNorm(Plan& p, bool center) {
  const Tensor* x = p.In(0);
  Check(x->shape.size() >= 1, "SkipLayerNormalization needs an input of rank 1 or more.");
  Norm n{.x = x, .skip = p.In(1), .scale = p.In(2), .center = center, .eps = p.Attr("epsilon", 1e-12f)};
  n.beta = center ? p.In(3) : nullptr;
  n.bias = p.In(center ? 4 : 3);
  n.cols = x->shape.back();
  const Shape stat = StatShape(x->shape, x->shape.size() - 1);
  n.y = p.Out(0, x->shape);
  n.mean = center ? p.Out(1, stat) : nullptr;
  n.inv = p.Out(2, stat);
  n.sum = p.Out(3, x->shape);
  RunNorm(p, n);
}

void SkipLayerNorm(Plan& p) { SkipNorm(p, true); }
void SkipRmsNorm(Plan& p) { SkipNorm(p, false); }

std::string DeclineMean(const NodeView& node) {
  return node.HasOut(1) ? "output 'mean' is not defined for RMS normalization" : "";
}

const Register ops{
    {.name = "LayerNormalization",
     .since = 1,
     .until = 16,
     .types = "T: f32 f16; U: f32; V: f32 f16",
     .plan = LayerNorm},
    {.name = "LayerNormalization", .since = 17, .types = "T: f32 f16; U: f32", .plan = LayerNorm},
    {.name = "SimplifiedLayerNormalization", .types = "T: f32 f16; U: f32; V: f32 f16", .plan = RmsNorm},
    {.name = "RMSNormalization", .since = 23, .types = "T: f32 f16; V: f32 f16", .plan = RmsNorm},
    {.domain = "com.microsoft",
     .name = "SkipLayerNormalization",
     .types = "T: f32 f16; U: f32",
     .plan = SkipLayerNorm},
    {.domain = "com.microsoft",
     .name = "SkipSimplifiedLayerNormalization",
     .types = "T: f32 f16; U: f32",
     .plan = SkipRmsNorm,
     .declines = DeclineMean},
};

}  // namespace
}  // namespace daybreak
