// TopK. Small k: tiles of each line are sorted in workgroups and keep their first k, until one tile is left.
// Large k: whole lines are sorted in device memory.
#include <bit>

#include "ops/elementwise.h"

namespace daybreak {
namespace {

constexpr uint32_t kTile = 1024;

constexpr const char* kBetter[2][3] = {{"fn better(a: x_v, b: x_v) -> bool { return a < b; }",
                                        "fn better(a: x_v, b: x_v) -> bool { return less_i64(a, b); }",
                                        "fn better(a: x_v, b: x_v) -> bool { return less_u64(a, b); }"},
                                       {"fn better(a: x_v, b: x_v) -> bool { return a > b; }",
                                        "fn better(a: x_v, b: x_v) -> bool { return less_i64(b, a); }",
                                        "fn better(a: x_v, b: x_v) -> bool { return less_u64(b, a); }"}};

struct Problem {
  const Tensor* x;
  AxisSplit split;
  int64_t k;
  bool largest;
  int64_t lines() const { return split.outer * split.stride; }
};

Dispatch Start(const Problem& q, const char* shader) {
  const size_t type = !IsInt64(q.x->type) ? 0 : q.x->type == DType::kI64 ? 1 : 2;
  return {.shader = shader,
          .consts = {{"WG", kElementThreads},
                     {"LONG", IsInt64(q.x->type)},
                     {"better", Code{kBetter[q.largest ? 1 : 0][type]}}},
          .in = {{"x", q.x}},
          .params = {{"dim", U32(q.split.dim)}, {"stride", U32(q.split.stride)}}};
}

// The sorted places of each line's first k elements, or more: [lines, pitch].
const Tensor* SortTiles(Plan& p, const Problem& q) {
  const Tensor* from = nullptr;
  int64_t count = q.split.dim;
  for (;;) {
    const int64_t tiles = CeilDiv<int64_t>(count, kTile);
    const Tensor* to = p.Scratch(DType::kU32, {q.lines(), tiles * q.k});
    Dispatch d = Start(q, "topk_tile");
    d.consts.push_back({"TILE", kTile});
    d.consts.push_back({"LISTED", from != nullptr});
    if (from != nullptr) d.in.push_back({"candidates", from});
    d.out.push_back({"to", to});
    for (const Param& param : {Param{"lines", U32(q.lines())}, Param{"count", U32(count)},
                               Param{"tiles", U32(tiles)}, Param{"keep", U32(q.k)}})
      d.params.push_back(param);
    d.grid = {q.lines() * tiles};
    p.Run(d);
    if (tiles == 1) return to;
    from = to;
    count = tiles * q.k;
  }
}

const Tensor* SortLines(Plan& p, const Problem& q) {
  const auto padded = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(q.split.dim)));
  const Tensor* order = p.Scratch(DType::kU32, {q.lines(), padded});
  const auto step = [&](bool start, int64_t run, int64_t distance) {
    const int64_t size = q.lines() * (start ? padded : padded / 2);
    Dispatch d = Start(q, "topk_step");
    d.consts.push_back({"START", start});
    d.out.push_back({"order", order});
    for (const Param& param : {Param{"size", U32(size)}, Param{"padded", U32(padded)}, Param{"run", U32(run)},
                               Param{"step", U32(distance)}})
      d.params.push_back(param);
    d.grid = ElementGrid(size);
    p.Run(d);
  };
  step(true, 0, 0);
  for (int64_t run = 2; run <= padded; run *= 2)
    for (int64_t distance = run / 2; distance > 0; distance /= 2) step(false, run, distance);
  return order;
}

// k is an attribute in version 1 and an input from 10 on.
void TopK(Plan& p) {
  const Tensor* x = p.In(0);
  Check(!x->shape.empty(), "TopK: the input is a scalar.");
  const size_t axis = WrapAxis(p.Attr("axis", -1), x->shape.size());
  const int64_t k = p.Since() < 10 ? p.Attr("k", 0) : HostInts(*p.In(1))[0];
  Check(k >= 0 && k <= x->shape[axis], "TopK: k = ", k, " of ", x->shape[axis], " elements.");
  Shape shape = x->shape;
  shape[axis] = k;
  const Tensor* y = p.Out(0, shape);
  const Tensor* at = p.Out(1, shape);
  if (y->count() == 0) return;
  const Problem q{x, SplitAt(x->shape, static_cast<int64_t>(axis)), k, p.Attr("largest", 1) != 0};
  const Tensor* order = q.split.dim <= kTile || 2 * k <= kTile ? SortTiles(p, q) : SortLines(p, q);
  const Bind out{"y", y};
  Dispatch d = Start(q, "topk_write");
  d.in.push_back({"order", order});
  d.out = {out, {"at", at}};
  for (const Param& param :
       {Param{"size", U32(y->count())}, Param{"k", U32(k)}, Param{"pitch", U32(order->shape[1])}})
    d.params.push_back(param);
  d.grid = ElementGrid(CeilDiv<int64_t>(y->count(), PerThread(out)));
  p.Run(d);
}

#define TYPES "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16"

const Register ops{
    {.name = "TopK", .until = 9, .types = TYPES, .plan = TopK},
    {.name = "TopK", .since = 10, .types = TYPES, .plan = TopK, .host = "1"},
};

}  // namespace
}  // namespace daybreak
