// Finding nodes that one kernel computes, where ONNX Runtime's own fusions do not reach.
#pragma once

#include <vector>

#include "ep/cpu_preferred.h"
#include "ep/fusion.h"

namespace daybreak {

// A fusion and the places of its nodes in the list.
struct FusedNodes {
  Fusion fusion;
  std::vector<size_t> nodes;
};

// The fusions among candidates that Daybreak runs; a node belongs to one at most. `nodes` are in topological
// order. Every value that a fusion absorbs is read by its own nodes only, and nothing that its nodes read
// depends on what they compute, so that the nodes can be replaced by one.
std::vector<FusedNodes> FindFusions(const std::vector<Candidate>& nodes);

// The fusion of one node that stays as it is.
Fusion Alone(const Candidate& node);

}  // namespace daybreak
