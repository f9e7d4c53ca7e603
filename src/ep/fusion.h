// Nodes that run as one compiled node.
#pragma once

#include <string>
#include <vector>

#include "core/op.h"
#include "ep/uses.h"

namespace daybreak {

// The operator that computes the nodes, and where its inputs and outputs are.
struct Fusion {
  const OpDef* row = nullptr;
  std::string name;  // of the node that stands for all
  int since = 1;
  Attrs attrs;
  std::vector<std::string> in, out;  // names of values; "" where the operator's input or output is absent
  std::vector<ValueInfo> in_info;    // by input
  std::vector<DType> out_types;      // kUndefined where absent
  bool mirror = false;               // outputs that the row writes on the CPU are brought to the device

  // Adds an input, of which `info` is known, or an output; absent where `v` is null.
  void AddIn(Value v, ValueInfo info = {});
  void AddOut(Value v);
};

}  // namespace daybreak
