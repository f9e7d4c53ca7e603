#include "ep/capability.h"

#include <map>
#include <set>
#include <sstream>

#include "ep/capture_rules.h"
#include "ep/cpu_preferred.h"
#include "ep/explain.h"
#include "ep/foresee.h"
#include "ep/fuse.h"
#include "ep/match.h"
#include "ep/node.h"
#include "gpu/hash.h"

namespace daybreak {
namespace {

std::set<std::string> ForcedToCpu(const Options& options) {
  std::set<std::string> names;
  std::istringstream lines(options.Text("forceCpuNodeNames"));
  for (std::string name; std::getline(lines, name);)
    if (!name.empty()) names.insert(name);
  return names;
}

// "" when ORT finds the kernel of the node's row. ORT fails, or finds none, when a row constrains a name that
// is no type parameter of the operator's schema.
std::string LookUpReason(OrtEpGraphSupportInfo* support, const OrtNode* node) {
  try {
    const auto* def = Get<const OrtKernelDef*>(api.ep->EpGraphSupportInfo_LookUpKernel, support, node);
    return def != nullptr ? "" : "ONNX Runtime finds no kernel for its types";
  } catch (const OrtError& e) {
    return Join("ONNX Runtime cannot look up its kernel: ", e.what());
  }
}

// Puts producers before their readers; ORT's list of nodes has no order.
void Sort(std::vector<Candidate>& nodes) {
  std::map<const OrtValueInfo*, size_t> producer;
  for (size_t n = 0; n < nodes.size(); ++n)
    for (const OrtValueInfo* out : nodes[n].node.out)
      if (out != nullptr) producer[out] = n;
  std::vector<std::vector<size_t>> readers(nodes.size());
  std::vector<size_t> waits(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n)
    for (const OrtValueInfo* in : nodes[n].node.in)
      if (const auto found = producer.find(in); found != producer.end()) {
        readers[found->second].push_back(n);
        ++waits[n];
      }
  std::set<size_t> ready;  // in the order of the list
  for (size_t n = 0; n < nodes.size(); ++n)
    if (waits[n] == 0) ready.insert(n);
  std::vector<Candidate> sorted;
  while (!ready.empty()) {
    const size_t n = *ready.begin();
    ready.erase(ready.begin());
    for (const size_t reader : readers[n])
      if (--waits[reader] == 0) ready.insert(reader);
    sorted.push_back(std::move(nodes[n]));
  }
  nodes = std::move(sorted);
}

std::vector<Candidate> ReadGraph(const Session& session, const OrtGraph* graph) {
  std::vector<const OrtNode*> nodes(Get<size_t>(api.ort->Graph_GetNumNodes, graph));
  if (!nodes.empty()) Ok(api.ort->Graph_GetNodes(graph, nodes.data(), nodes.size()));
  const std::set<std::string> forced = ForcedToCpu(session.options);
  std::vector<Candidate> list;
  for (const OrtNode* node : nodes) {
    Candidate candidate{.node = ReadNode(session, node)};
    const char* assigned = Get<const char*>(api.ort->Node_GetEpName, node);
    candidate.assigned = assigned ? assigned : "";
    candidate.has_subgraphs = Get<size_t>(api.ort->Node_GetNumSubgraphs, node) > 0;
    Match match = FindRow(candidate.node.view);
    candidate.row = match.row;
    candidate.reason = std::move(match.reason);
    if (!candidate.assigned.empty() && candidate.assigned != session.ep_name)
      candidate.Decline("another execution provider runs it");
    else if (forced.contains(candidate.node.view.name))
      candidate.Decline("forceCpuNodeNames lists it");
    list.push_back(std::move(candidate));
  }
  Sort(list);
  return list;
}

void PrepareCapture(const Session& session, std::vector<Candidate>& nodes) {
  SendShapesToDevice(nodes);
  for (const std::string& obstacle : CaptureObstacles(nodes))
    Log(session.logger, ORT_LOGGING_LEVEL_ERROR,
        Join("The model cannot be captured (enableGraphCapture): ", obstacle, "."));
}

// ORT hands the nodes over as one, to be compiled.
void ClaimTogether(Session& session, std::vector<Candidate>& nodes, FusedNodes fused,
                   OrtEpGraphSupportInfo* support) {
  std::vector<const OrtNode*> list;
  for (const size_t n : fused.nodes) list.push_back(nodes[n].node.node);
  const OrtNodeFusionOptions options{.ort_version_supported = kOrtApi, .drop_constant_initializers = false};
  Ok(api.ep->EpGraphSupportInfo_AddNodesToFuse(support, list.data(), list.size(), &options));
  for (const std::string& out : fused.fusion.out)
    if (!out.empty()) session.fusions[out] = fused.fusion;
}

// Claims what Daybreak runs: fusions, nodes that are compiled alone, and nodes with a kernel.
void Claim(Session& session, std::vector<Candidate>& nodes, OrtEpGraphSupportInfo* support) {
  session.fusions.clear();
  std::vector<FusedNodes> fusions;
  if (session.options.Flag("enableFusion")) fusions = FindFusions(nodes);
  for (FusedNodes& fused : fusions) {
    for (const size_t n : fused.nodes) {
      nodes[n].fused = fused.fusion.row->name;
      nodes[n].group = fused.fusion.name;
    }
    ClaimTogether(session, nodes, std::move(fused), support);
  }
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Candidate& node = nodes[n];
    if (node.row == nullptr || !node.fused.empty()) continue;
    if (node.on_device)
      ClaimTogether(session, nodes, {Alone(node), {n}}, support);
    else
      Ok(api.ep->EpGraphSupportInfo_AddSingleNode(support, node.node.node));
  }
}

// The same for the same model in every process, run in the same way: operators, types and shapes in the order
// of the graph.
uint64_t FingerprintOf(const Session& session, const std::vector<Candidate>& nodes) {
  std::vector<uint64_t> words{session.capture, session.options.Flag("enableFusion")};
  const std::hash<std::string> hash;
  for (const Candidate& node : nodes) {
    const NodeView& view = node.node.view;
    words.insert(words.end(), {hash(view.domain), hash(view.op), static_cast<uint64_t>(view.since)});
    for (const auto* values : {&view.in, &view.out})
      for (const ValueInfo& value : *values) {
        words.push_back(static_cast<uint64_t>(value.type));
        for (const int64_t d : value.shape) words.push_back(static_cast<uint64_t>(d));
      }
  }
  return HashWords(words) | 1;
}

}  // namespace

void ClaimNodes(Session& session, const OrtGraph* graph, OrtEpGraphSupportInfo* support) {
  std::vector<Candidate> nodes = ReadGraph(session, graph);
  if (session.cpu_fallback) PreferCpu(nodes, session.capture);
  if (session.capture) PrepareCapture(session, nodes);
  for (Candidate& node : nodes) {
    if (node.row == nullptr) continue;
    if (std::string reason = LookUpReason(support, node.node.node); !reason.empty())
      node.Decline(std::move(reason));
  }
  session.packing.Decide(nodes);
  Claim(session, nodes, support);
  Explain(session, nodes);
  session.model = FingerprintOf(session, nodes);
  if (!session.device->Prepare(session.model)) Foresee(session, nodes);
}

}  // namespace daybreak
