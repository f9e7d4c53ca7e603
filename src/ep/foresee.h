// Compiling what a model will need before it runs for the first time.
#pragma once

#include <vector>

#include "ep/cpu_preferred.h"
#include "ep/session.h"

namespace daybreak {

// Starts to compile what the first runs of the model will dispatch, as far as its graph tells: `nodes` are
// all of it, producers first, and the session has the fusions. Never fails.
void Foresee(const Session& session, const std::vector<Candidate>& nodes) noexcept;

}  // namespace daybreak
