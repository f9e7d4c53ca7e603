// Which nodes Daybreak runs, and why it leaves the others.
#pragma once

#include "ep/session.h"

namespace daybreak {

// Claims nodes of `graph` in `support`, those of a fusion together; keeps the fusions in `session`; logs the
// reason for each one that is left and writes explainFile. In sessions with graph capture, what keeps the
// graph from being captured is logged as errors.
void ClaimNodes(Session& session, const OrtGraph* graph, OrtEpGraphSupportInfo* support);

}  // namespace daybreak
