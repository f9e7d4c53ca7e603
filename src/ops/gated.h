// Gates of feed-forward networks: activation(gate) * up.
#pragma once

#include "core/op.h"

namespace daybreak {

// Code of "fn activate(v: f32) -> f32" for "silu" or "gelu_tanh"; nullptr for other names.
const char* ActivationCode(std::string_view name);

// y = activate(gate) * up, element by element.
void RunGate(Plan& p, const char* activate, const Tensor* gate, const Tensor* up, const Tensor* y);

}  // namespace daybreak
