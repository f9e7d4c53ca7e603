// GatedActivation: activation(gate) * up, which src/ep/fuse.cc makes of an activation's nodes and a Mul.
#include "ops/gated.h"

namespace daybreak {
namespace {

struct Activation {
  std::string_view name;
  const char* code;
};
constexpr Activation kActivations[] = {
    {"silu", "fn activate(v: f32) -> f32 { return v / (1.0 + exp(min(-v, 80.0))); }"},
    // v * sigmoid(2 u) with u = sqrt(2 / pi) (v + 0.044715 v^3), which is 0.5 v (1 + tanh(u)).
    {"gelu_tanh",
     "fn activate(v: f32) -> f32 { return v / (1.0 + exp(min(-1.59576912 * (v + 0.044715 * v * v * v), "
     "80.0))); }"},
};

void GatedActivation(Plan& p) {
  const Tensor *gate = p.In(0), *up = p.In(1);
  Check(gate->shape == up->shape, "Gate ", ToString(gate->shape), " and value ", ToString(up->shape),
        " differ in shape.");
  RunGate(p, ActivationCode(p.Attr("activation", "silu")), gate, up, p.Out(0, gate->shape));
}

const Register ops{
    {.domain = kFusedDomain, .name = "GatedActivation", .types = "T: f32 f16", .plan = GatedActivation},
};

}  // namespace

const char* ActivationCode(std::string_view name) {
  for (const Activation& a : kActivations)
    if (a.name == name) return a.code;
  return nullptr;
}

void RunGate(Plan& p, const char* activate, const Tensor* gate, const Tensor* up, const Tensor* y) {
  const uint32_t width = y->count() % 4 == 0 ? 4 : 1;
  Dispatch d{.shader = "gated",
             .consts = {{"ACTIVATE", Code{activate}}},
             .in = {{"gate", gate, width}, {"up", up, width}},
             .out = {{"y", y, width}},
             .params = {{"size", U32(y->count())}}};
  d.grid = {CeilDiv<int64_t>(y->count(), 64 * PerThread(d.out[0]))};
  p.Run(d);
}

}  // namespace daybreak
