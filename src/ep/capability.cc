#include "ep/capability.h"

#include <fstream>
#include <set>

#include "ep/cpu_preferred.h"
#include "ep/explain.h"
#include "ep/match.h"
#include "ep/node.h"

namespace daybreak {
namespace {

std::set<std::string> ForcedToCpu(const Options& options) {
  std::set<std::string> names;
  std::istringstream lines(options.Text("forceCpuNodeNames"));
  for (std::string name; std::getline(lines, name);)
    if (!name.empty()) names.insert(name);
  return names;
}

bool HasKernel(OrtEpGraphSupportInfo* support, const OrtNode* node) {
  return Get<const OrtKernelDef*>(api.ep->EpGraphSupportInfo_LookUpKernel, support, node) != nullptr;
}

std::vector<Candidate> ReadGraph(const Session& session, const OrtGraph* graph,
                                 OrtEpGraphSupportInfo* support) {
  std::vector<const OrtNode*> nodes(Get<size_t>(api.ort->Graph_GetNumNodes, graph));
  if (!nodes.empty()) Ok(api.ort->Graph_GetNodes(graph, nodes.data(), nodes.size()));
  const std::set<std::string> forced = ForcedToCpu(session.options);
  std::vector<Candidate> list;
  for (const OrtNode* node : nodes) {
    Candidate candidate{.node = ReadNode(session, node)};
    const char* assigned = Get<const char*>(api.ort->Node_GetEpName, node);
    candidate.assigned = assigned ? assigned : "";
    Match match = FindRow(candidate.node.view);
    candidate.row = match.row;
    candidate.reason = std::move(match.reason);
    if (!candidate.assigned.empty() && candidate.assigned != session.ep_name) {
      candidate.Decline("another execution provider runs it");
    } else if (forced.contains(candidate.node.view.name)) {
      candidate.Decline("forceCpuNodeNames lists it");
    } else if (candidate.row != nullptr && !HasKernel(support, node)) {
      candidate.Decline("ONNX Runtime finds no kernel for its types");
    }
    list.push_back(std::move(candidate));
  }
  return list;
}

}  // namespace

void ClaimNodes(const Session& session, const OrtGraph* graph, OrtEpGraphSupportInfo* support) {
  std::vector<Candidate> nodes = ReadGraph(session, graph, support);
  if (session.cpu_fallback) PreferCpu(nodes, session.capture);
  for (const Candidate& node : nodes)
    if (node.row != nullptr) Ok(api.ep->EpGraphSupportInfo_AddSingleNode(support, node.node.node));
  Explain(session, nodes);
}

}  // namespace daybreak
