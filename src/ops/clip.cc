#include <limits>

#include "ops/elementwise.h"

namespace daybreak {
namespace {

// Bounds are attributes up to version 6 and optional scalar inputs from 11 on.
void Clip(Plan& p) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  const bool attributes = p.Since() < 11;
  const Tensor* low = attributes || p.InCount() < 2 ? nullptr : p.In(1);
  const Tensor* high = attributes || p.InCount() < 3 ? nullptr : p.In(2);
  const bool vectors = HasVectors(x->type) && x->count() % 4 == 0;
  const Bind out{"y", y, vectors ? 4u : 1u};
  const int64_t size = vectors ? y->count() / 4 : y->count();
  Dispatch d{.shader = "clip",
             .consts = {{"WG", kElementThreads},
                        {"V", ValueType(KindOf(x->type), vectors)},
                        {"VEC", vectors},
                        {"LOW", low != nullptr},
                        {"HIGH", high != nullptr},
                        {"BOUNDS", attributes},
                        {"WIDE", IsInt64(x->type)},
                        {"SIGNED", x->type == DType::kI64}},
             .in = {{"x", x, vectors ? 4u : 1u}},
             .out = {out},
             .params = {{"size", U32(size)},
                        {"low_value", p.Attr("min", std::numeric_limits<float>::lowest())},
                        {"high_value", p.Attr("max", std::numeric_limits<float>::max())}},
             .grid = ElementGrid(vectors ? size : CeilDiv<int64_t>(size, PerThread(out)))};
  if (low != nullptr) d.in.push_back({"low", low});
  if (high != nullptr) d.in.push_back({"high", high});
  p.Run(d);
}

const Register ops{
    {.name = "Clip", .since = 6, .types = "T: f32 f16 bf16 i32 u32 i64 u64 i8 u8 i16 u16", .plan = Clip},
};

}  // namespace
}  // namespace daybreak
