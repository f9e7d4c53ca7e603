// Telling the user who runs which node, and why.
#pragma once

#include <vector>

#include "ep/cpu_preferred.h"
#include "ep/session.h"

namespace daybreak {

// Logs the reason of each node that is left (level info) and appends to the option explainFile.
void Explain(const Session& session, const std::vector<Candidate>& nodes);

}  // namespace daybreak
