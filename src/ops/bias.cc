// Contrib operators that add a bias along the last axis before an activation.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

constexpr const char* kIdentity = "fn f(v: V) -> V { return v; }";
constexpr const char* kGelu = "fn f(v: V) -> V { return 0.5 * v * (1.0 + erf_(v * 0.707106781)); }";
// x sigmoid(2 z) = x (1 + tanh(z)) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3)
constexpr const char* kGeluTanh =
    "fn f(v: V) -> V { return v * sigmoid_(1.59576912 * (v + 0.044715 * v * v * v)); }";

void AddBias(Plan& p, const char* code, const Tensor* bias, const Tensor* skip, bool split) {
  const Tensor* x = p.In(0);
  Check(!x->shape.empty() && bias->count() == x->shape.back(), "The bias has ", bias->count(),
        " elements; the input's shape is ", ToString(x->shape), ".");
  Shape shape = x->shape;
  if (split) shape.back() /= 2;
  const Tensor* y = p.Out(0, shape);
  const int64_t cols = x->shape.back();
  const bool vectors = HasVectors(x->type) && cols % (split ? 8 : 4) == 0;
  const uint32_t width = vectors ? 4 : 1;
  const Bind out{"y", y, width};
  Dispatch d{.shader = "bias",
             .consts = {{"WG", kElementThreads},
                        {"VEC", vectors},
                        {"SPLIT", split},
                        {"SKIP", skip != nullptr},
                        {"V", ValueType(Kind::kFloat, vectors)},
                        {"VF", ValueType(Kind::kFloat, vectors)},
                        {"VU", ValueType(Kind::kUint, vectors)},
                        {"VI", ValueType(Kind::kInt, vectors)},
                        {"VB", ValueType(Kind::kBool, vectors)},
                        {"f", Code{code}}},
             .in = {{"x", x, width}, {"bias", bias, width}},
             .out = {out},
             .params = {{"size", U32(y->count() / width)}, {"cols", U32(cols / width)}},
             .grid = ElementGrid(CeilDiv<int64_t>(y->count(), PerThread(out)))};
  if (skip != nullptr) d.in.push_back({"skip", skip, width});
  p.Run(d);
}

void BiasGelu(Plan& p) { AddBias(p, kGelu, p.In(1), nullptr, false); }
void BiasSplitGelu(Plan& p) { AddBias(p, kGelu, p.In(1), nullptr, true); }
void BiasAdd(Plan& p) { AddBias(p, kIdentity, p.In(1), p.In(2), false); }
void FastGelu(Plan& p) {
  const Tensor* bias = p.InCount() > 1 ? p.In(1) : nullptr;
  if (bias != nullptr) return AddBias(p, kGeluTanh, bias, nullptr, false);
  MapElements(p, kGeluTanh, Needs::kMath, p.In(0), p.Out(0, p.In(0)->shape));
}

const Register ops{
    {.domain = "com.microsoft", .name = "BiasGelu", .types = "T: f32 f16 bf16", .plan = BiasGelu},
    {.domain = "com.microsoft", .name = "BiasSplitGelu", .types = "T: f32 f16", .plan = BiasSplitGelu},
    {.domain = "com.microsoft", .name = "BiasAdd", .types = "T: f32 f16", .plan = BiasAdd},
    {.domain = "com.microsoft", .name = "FastGelu", .types = "T: f32 f16 bf16", .plan = FastGelu},
};

}  // namespace
}  // namespace daybreak
