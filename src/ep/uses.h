// Who makes and who reads the values of a graph.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ep/cpu_preferred.h"

namespace daybreak {

using Value = const OrtValueInfo*;

class Uses {
 public:
  explicit Uses(const std::vector<Candidate>& nodes);

  struct Reader {
    size_t node, input;
  };
  const std::vector<Reader>& Readers(Value v) const;
  // True when no node of this graph makes `v`: an initialiser, an input of the graph, a value of an outer
  // graph.
  bool IsGiven(Value v) const { return !producer_.contains(v); }
  // The node that makes `v` as its output `output`.
  std::optional<size_t> Producer(Value v, size_t output = 0) const;
  // True when `count` inputs of the list's nodes read `v`, and nothing else does: no subgraph, not the
  // caller.
  bool ReadOnlyBy(Value v, size_t count) const;
  // False when nothing reads `v`; ORT then leaves it out of a compiled node's outputs.
  bool IsRead(Value v) const { return !ReadOnlyBy(v, 0); }

 private:
  std::map<Value, std::pair<size_t, size_t>> producer_;  // node and output
  std::map<Value, std::vector<Reader>> readers_;
};

// True when `count` inputs of nodes read `v`, and nothing else does: no subgraph, not the caller.
bool HasReadersOnly(Value v, size_t count);
// "" and kUndefined when `v` is null.
std::string NameOf(Value v);
std::vector<std::string> NamesOf(const std::vector<Value>& values);
DType TypeOf(Value v);
// True when both have the same shape as far as known sizes and names of sizes tell.
bool SameShape(Value a, Value b);

}  // namespace daybreak
