// Transpose, DepthToSpace and SpaceToDepth: axes in another order.
#include "ops/move.h"

namespace daybreak {
namespace {

constexpr int64_t kTileWords = 32;  // storage words in a row of a tile, as in transpose.wgsl
// Below this extent a tile would stay mostly empty, and the caches serve a plain walk as well.
constexpr int64_t kMinTiled = 8;

// Turns the two innermost axes through workgroup memory, so that reads follow x and writes follow y: axis
// `at` of `axes` (y's order, strides of x) is x's innermost.
void Tiled(Plan& p, const Tensor* x, const Tensor* y, const Axes& axes, size_t at) {
  int64_t y_stride = 1, y_turned = 1;
  int64_t batch = 1;
  Ints dims, x_strides, y_strides;
  for (size_t k = axes.size(); k-- > 0; y_stride *= axes[k].size) {
    if (k == at) y_turned = y_stride;
    if (k == at || k + 1 == axes.size()) continue;
    dims.push_back(U32(axes[k].size));  // innermost first
    x_strides.push_back(U32(axes[k].stride));
    y_strides.push_back(U32(y_stride));
    batch *= axes[k].size;
  }
  const Axis &a = axes[at], &b = axes.back();
  const Bind out{"y", y, 1, View::kRaw};
  const int64_t per_word = PerThread(out);
  const uint32_t rows =
      per_word == 1 ? 32 : 64;        // narrow rows need more elements to fill a memory transaction
  int64_t x_odd = a.size | b.stride;  // lowest bits: the alignment of x's rows
  for (const uint32_t stride : x_strides) x_odd |= stride;
  const int64_t tiles_a = CeilDiv(a.size, kTileWords * per_word), tiles_b = CeilDiv<int64_t>(b.size, rows);
  p.Run({.shader = "transpose",
         .consts = {{"BATCH_RANK", static_cast<uint32_t>(dims.size())},
                    {"ROWS", rows},
                    {"NARROW", per_word > 1},
                    {"ALIGNED", x_odd % per_word == 0}},
         .in = {{"x", x, 1, View::kRaw}},
         .out = {out},
         .params = {{"dims", dims},
                    {"x_strides", x_strides},
                    {"y_strides", y_strides},
                    {"size", U32(y->count())},
                    {"a_size", U32(a.size)},
                    {"b_size", U32(b.size)},
                    {"x_stride", U32(b.stride)},
                    {"y_stride", U32(y_turned)},
                    {"tiles_a", U32(tiles_a)},
                    {"tiles_b", U32(tiles_b)},
                    {"groups", U32(batch * tiles_a * tiles_b)}},
         .grid = {batch * tiles_a * tiles_b}});
}

}  // namespace

void Permute(Plan& p, const Tensor* x, const Tensor* y, const Shape& dims, const Shape& perm) {
  if (y->count() == 0) return;
  const Shape strides = StridesOf(dims);
  Axes axes;
  for (const int64_t from : perm) {
    const auto at = static_cast<size_t>(from);
    axes.push_back({dims[at], strides[at]});
  }
  axes = Merged(axes);
  size_t inner = 0;
  while (inner + 1 < axes.size() && axes[inner].stride != 1) ++inner;
  // A storage word must not reach across two rows of y.
  const bool aligned = axes.back().size % PerThread({"y", y, 1, View::kRaw}) == 0;
  const bool large = axes[inner].size >= kMinTiled && axes.back().size >= kMinTiled;
  if (inner + 1 < axes.size() && aligned && large)
    Tiled(p, x, y, axes, inner);
  else
    Strided(p, x, y, axes);
}

namespace {

void Transpose(Plan& p) {
  const Tensor* x = p.In(0);
  const size_t rank = x->shape.size();
  const std::vector<int64_t> given = p.Attributes().Ints("perm");
  Check(given.empty() || given.size() == rank, "Transpose: perm has ", given.size(), " entries for ",
        ToString(x->shape), ".");
  Shape perm, shape;
  FixedVec<bool, kMaxRank> used;
  used.resize(rank, false);
  for (size_t i = 0; i < rank; ++i) {
    const size_t at = given.empty() ? rank - 1 - i : WrapAxis(given[i], rank);
    Check(!used[at], "Transpose: perm names axis ", at, " twice.");
    used[at] = true;
    perm.push_back(static_cast<int64_t>(at));
    shape.push_back(x->shape[at]);
  }
  Permute(p, x, p.Out(0, shape), x->shape, perm);
}

struct Blocks {
  int64_t n, c, h, w, size;
};

Blocks BlocksOf(Plan& p) {
  const Shape& s = p.In(0)->shape;
  Check(s.size() == 4, "The input of DepthToSpace and SpaceToDepth is [N,C,H,W], not ", ToString(s), ".");
  const int64_t size = p.Attr("blocksize", 0);
  Check(size > 0, "Blocksize is ", size, ".");
  return {s[0], s[1], s[2], s[3], size};
}

bool IsCrd(Plan& p) {
  const std::string mode = p.Attr("mode", "DCR");
  Check(mode == "DCR" || mode == "CRD", "Mode is '", mode, "', not 'DCR' or 'CRD'.");
  return mode == "CRD";
}

void DepthToSpace(Plan& p) {
  const auto [n, c, h, w, b] = BlocksOf(p);
  Check(c % (b * b) == 0, "DepthToSpace: ", c, " channels do not divide by ", b * b, ".");
  const int64_t depth = c / (b * b);
  const Tensor* y = p.Out(0, {n, depth, h * b, w * b});
  if (IsCrd(p))
    Permute(p, p.In(0), y, {n, depth, b, b, h, w}, {0, 1, 4, 2, 5, 3});
  else
    Permute(p, p.In(0), y, {n, b, b, depth, h, w}, {0, 3, 4, 1, 5, 2});
}

void SpaceToDepth(Plan& p) {
  const auto [n, c, h, w, b] = BlocksOf(p);
  Check(h % b == 0 && w % b == 0, "SpaceToDepth: ", h, " x ", w, " does not divide by ", b, ".");
  const Tensor* y = p.Out(0, {n, c * b * b, h / b, w / b});
  if (IsCrd(p))
    Permute(p, p.In(0), y, {n, c, h / b, b, w / b, b}, {0, 1, 3, 5, 2, 4});
  else
    Permute(p, p.In(0), y, {n, c, h / b, b, w / b, b}, {0, 3, 5, 1, 2, 4});
}

const Register ops{
    {.name = "Transpose", .plan = Transpose},
    {.name = "DepthToSpace", .plan = DepthToSpace},
    {.name = "SpaceToDepth", .plan = SpaceToDepth},
};

}  // namespace
}  // namespace daybreak
