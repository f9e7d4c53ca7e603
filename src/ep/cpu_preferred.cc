#include "ep/cpu_preferred.h"

#include <algorithm>
#include <map>
#include <set>

#include "ep/rows.h"

namespace daybreak {
namespace {

constexpr int64_t kSmall = 64;  // elements of a shape, at most

bool IsShapeType(const ValueInfo& value) {
  if (value.has_shape && Count(value.shape) > kSmall) return false;
  return value.type == DType::kI64 || value.type == DType::kI32 || value.type == DType::kBool;
}

// A constant that costs nothing to keep on the CPU.
bool IsSmallConstant(const ValueInfo& value) {
  return value.constant && value.has_shape && IsShapeType(value);
}

// By value: does it come out of a node on the CPU?
using Values = std::set<const OrtValueInfo*>;

bool ComputesShape(const Candidate& node, const Values& on_cpu, bool capture) {
  const NodeView& view = node.node.view;
  const std::vector<size_t> host = HostInputs(*node.row, capture);
  bool from_cpu = false;
  for (size_t i = 0; i < view.in.size(); ++i) {
    if (!view.in[i].present || IsSmallConstant(view.in[i])) continue;
    // An input that the kernel reads on the CPU anyway says nothing about where the node belongs.
    if (!on_cpu.contains(node.node.in[i]) || !IsShapeType(view.in[i]) || Lists(host, i)) return false;
    from_cpu = true;
  }
  return from_cpu && std::all_of(view.out.begin(), view.out.end(),
                                 [](const ValueInfo& v) { return !v.present || IsShapeType(v); });
}

// Nodes of the list by the values that they read.
std::map<const OrtValueInfo*, std::vector<std::pair<size_t, size_t>>> Readers(
    const std::vector<Candidate>& nodes) {
  std::map<const OrtValueInfo*, std::vector<std::pair<size_t, size_t>>> readers;
  for (size_t n = 0; n < nodes.size(); ++n)
    for (size_t i = 0; i < nodes[n].node.in.size(); ++i)
      if (nodes[n].node.in[i] != nullptr) readers[nodes[n].node.in[i]].emplace_back(n, i);
  return readers;
}

// Takes back nodes whose results are read on the GPU, from the end, until none is left.
void KeepWhatTheGpuReads(const std::vector<Candidate>& nodes, std::vector<bool>& prefer) {
  const auto readers = Readers(nodes);
  for (size_t n = nodes.size(); n-- > 0;) {
    if (!prefer[n]) continue;
    for (const OrtValueInfo* out : nodes[n].node.out) {
      const auto found = readers.find(out);
      if (found == readers.end()) continue;
      for (const auto& [reader, input] : found->second) {
        const Candidate& node = nodes[reader];
        if (node.row != nullptr && !prefer[reader] && !Lists(HostInputs(*node.row, true), input))
          prefer[n] = false;
      }
    }
  }
}

}  // namespace

void PreferCpu(std::vector<Candidate>& nodes, bool capture) {
  Values on_cpu;
  std::vector<bool> prefer(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Candidate& node = nodes[n];
    prefer[n] = node.row != nullptr && ComputesShape(node, on_cpu, capture);
    const std::vector<size_t> host_out = node.row ? ParseIndices(node.row->host_out) : std::vector<size_t>{};
    for (size_t i = 0; i < node.node.out.size(); ++i)
      if (node.node.out[i] && (node.row == nullptr || prefer[n] || Lists(host_out, i)))
        on_cpu.insert(node.node.out[i]);
  }
  if (capture) KeepWhatTheGpuReads(nodes, prefer);
  for (size_t n = 0; n < nodes.size(); ++n)
    if (prefer[n]) nodes[n].Decline("it only computes with shapes, which the CPU does without transfers");
}

}  // namespace daybreak
