// Nodes that ORT hands over as compiled subgraphs of one node. All their inputs and outputs are device
// memory, whatever the kernel of the node's row does: in sessions with graph capture, Shape writes its result
// to the device this way when the GPU reads it.
#pragma once

#include "ep/session.h"

namespace daybreak {

// The body of OrtEp::Compile.
void CompileNodes(Session& session, const OrtGraph* const* graphs, size_t count,
                  OrtNodeComputeInfo** compiled);

// The body of OrtEp::ReleaseNodeComputeInfos.
void ReleaseNodes(OrtNodeComputeInfo** compiled, size_t count) noexcept;

}  // namespace daybreak
