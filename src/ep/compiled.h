// Nodes that ORT hands over as compiled subgraphs: the fusions, and single nodes. All their inputs and
// outputs are device memory, whatever the kernel of the row does: in sessions with graph capture, Shape
// writes its result to the device this way when the GPU reads it.
#pragma once

#include "ep/session.h"

namespace daybreak {

// The body of OrtEp::Compile: `fused` are the nodes that stand for the subgraphs, each a Fusion of the
// session.
void CompileNodes(Session& session, const OrtNode* const* fused, size_t count, OrtNodeComputeInfo** compiled);

// The body of OrtEp::ReleaseNodeComputeInfos.
void ReleaseNodes(OrtNodeComputeInfo** compiled, size_t count) noexcept;

}  // namespace daybreak
