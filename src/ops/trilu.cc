// Trilu and EyeLike: matrices by diagonals.
#include <algorithm>

#include "ops/elementwise.h"

namespace daybreak {
namespace {

constexpr int64_t kFarthest = INT64_C(1) << 30;  // beyond every diagonal

void Trilu(Plan& p) {
  const Tensor* x = p.In(0);
  const Tensor* diagonal = p.InCount() > 1 ? p.In(1) : nullptr;
  const size_t rank = x->shape.size();
  Check(rank >= 2, "Trilu: the input's shape ", ToString(x->shape), " has no matrix.");
  const Tensor* y = p.Out(0, x->shape);
  const int64_t k = diagonal == nullptr || diagonal->count() == 0 ? 0 : HostInts(*diagonal)[0];
  const int64_t rows = x->shape[rank - 2], cols = x->shape[rank - 1];
  Check(rows < kFarthest && cols < kFarthest, "Trilu: the matrix ", ToString(x->shape), " is too large.");
  const Bind out{"y", y, 1, View::kRaw};
  p.Run({.shader = "trilu",
         .consts = {{"WG", kElementThreads}, {"UPPER", p.Attr("upper", 1) != 0}},
         .in = {{"x", x, 1, View::kRaw}},
         .out = {out},
         .params = {{"size", U32(y->count())},
                    {"rows", U32(rows)},
                    {"cols", U32(cols)},
                    {"k", static_cast<int32_t>(std::clamp(k, -kFarthest, kFarthest))}},
         .grid = ElementGrid(CeilDiv<int64_t>(y->count(), PerThread(out)))});
}

constexpr const char* kOnes[kKinds] = {"fn one() -> y_v { return 1.0; }",
                                       "fn one() -> y_v { return 1; }",
                                       "fn one() -> y_v { return 1u; }",
                                       "fn one() -> y_v { return vec2<u32>(1u, 0u); }",
                                       "fn one() -> y_v { return vec2<u32>(1u, 0u); }",
                                       "fn one() -> y_v { return true; }"};

void EyeLike(Plan& p) {
  const Tensor* x = p.In(0);
  Check(x->shape.size() == 2, "EyeLike: the input's shape ", ToString(x->shape), " is not a matrix.");
  const Tensor* y = p.Out(0, x->shape);
  const Bind out{"y", y};
  p.Run({.shader = "eye",
         .consts = {{"WG", kElementThreads}, {"one", Code{kOnes[static_cast<size_t>(KindOf(y->type))]}}},
         .out = {out},
         .params = {{"size", U32(y->count())},
                    {"cols", U32(x->shape[1])},
                    {"k", static_cast<int32_t>(std::clamp(p.Attr("k", 0), -kFarthest, kFarthest))}},
         .grid = ElementGrid(CeilDiv<int64_t>(y->count(), PerThread(out)))});
}

const Register ops{
    {.name = "Trilu", .since = 14, .plan = Trilu, .host = "1"},
    {.domain = "com.microsoft", .name = "Trilu", .plan = Trilu, .host = "1"},
    {.name = "EyeLike",
     .since = 9,
     .types = "T2: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16 bool",
     .plan = EyeLike},
};

}  // namespace
}  // namespace daybreak
