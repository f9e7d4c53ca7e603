// Shape computations that are better left on the CPU.
#pragma once

#include <string>
#include <vector>

#include "ep/node.h"

namespace daybreak {

// A node of one graph with the row that would run it.
struct Candidate {
  GraphNode node;
  std::string assigned;        // the EP that has it already, or ""
  const OpDef* row = nullptr;  // nullptr: left to other EPs
  std::string reason;          // why it is left
  bool has_subgraphs = false;  // control flow
  bool on_device = false;      // outputs that the row writes on the CPU go to the device
  std::string fused, group;    // operator and name of the fusion that it is part of

  void Decline(std::string why) {
    row = nullptr;
    reason = std::move(why);
  }
};

// Declines candidates that only compute with shapes: small integer nodes whose inputs all come from CPU
// outputs (Shape, nodes of the CPU EP), constants or nothing. On the GPU they would cost a transfer each way.
// `nodes` are in topological order. With `capture`, a node stays on the GPU when a result of it is used
// there, because a capture cannot hold the transfer.
void PreferCpu(std::vector<Candidate>& nodes, bool capture);

}  // namespace daybreak
