// Dropout at inference: the input as it is, and a mask of ones.
#include "ops/elementwise.h"

namespace daybreak {
namespace {

// A mask of the input's shape, all true whatever the element's bits are.
constexpr const char* kTrue = "fn f(v: V) -> R { return R(true); }";

void Dropout(Plan& p) {
  const Tensor* x = p.In(0);
  p.Copy(x, p.Out(0, x->shape), x->bytes());
  const Tensor* mask = p.OutCount() > 1 ? p.Out(1, x->shape) : nullptr;
  if (mask != nullptr) MapElements(p, kTrue, Needs::kPlain, x, mask);
}

// The mask is bool from version 10 on. Version 12 takes `training_mode` as an input, which must be absent or
// false.
std::string Declines(const NodeView& n) {
  if (n.since < 10 && n.HasOut(1)) return "the mask of versions before 10 has the input's type";
  if (!n.Has(2)) return "";
  const bool known = n.in[2].constant && n.in[2].data != nullptr;
  const bool training = known && *static_cast<const uint8_t*>(n.in[2].data) != 0;
  return !known ? "training_mode is not a constant" : training ? "training_mode is true" : "";
}

const Register ops{
    {.name = "Dropout", .since = 7, .types = "T: f32 f16 bf16", .plan = Dropout, .declines = Declines},
};

}  // namespace
}  // namespace daybreak
