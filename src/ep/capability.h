// Which nodes Daybreak runs, and why it leaves the others.
#pragma once

#include "ep/session.h"

namespace daybreak {

// Claims nodes of `graph` in `support`; logs the reason for each one that is left and writes explainFile. In
// sessions with graph capture, what keeps the graph from being captured is logged as errors.
void ClaimNodes(const Session& session, const OrtGraph* graph, OrtEpGraphSupportInfo* support);

}  // namespace daybreak
