// A node of ORT's graph before it is claimed.
#pragma once

#include <string>
#include <vector>

#include "core/op.h"
#include "ep/api.h"

namespace daybreak {

struct Session;

struct GraphNode {
  const OrtNode* node = nullptr;
  std::vector<const OrtValueInfo*> in, out;  // nullptr where an optional one is absent
  NodeView view;
};

// Reads a node with its attributes and what is known of its values. Constants up to 4 KiB come with their
// bytes.
GraphNode ReadNode(const Session& session, const OrtNode* node);

}  // namespace daybreak
