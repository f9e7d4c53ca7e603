// Finding the row that serves a node.
#pragma once

#include <string>

#include "core/op.h"

namespace daybreak {

struct Match {
  const OpDef* row = nullptr;  // nullptr: none serves the node
  std::string reason;          // why not
};

// The row whose operator, version and types fit, if it does not decline the node.
Match FindRow(const NodeView& node);

}  // namespace daybreak
