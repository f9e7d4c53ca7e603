#include "ep/capture_rules.h"

#include <map>

#include "ep/rows.h"

namespace daybreak {
namespace {

// Where a value is made and read, and one node for each to name.
struct Places {
  const Candidate* made_on_cpu = nullptr;
  const Candidate* made_on_device = nullptr;
  const Candidate* read_on_cpu = nullptr;
  const Candidate* read_on_device = nullptr;
};

std::map<const OrtValueInfo*, Places> FindPlaces(const std::vector<Candidate>& nodes) {
  std::map<const OrtValueInfo*, Places> places;
  for (const Candidate& node : nodes) {
    const auto host = node.row ? HostInputs(*node.row, true) : std::vector<size_t>{};
    const auto host_out =
        node.row && !node.on_device ? ParseIndices(node.row->host_out) : std::vector<size_t>{};
    for (size_t i = 0; i < node.node.in.size(); ++i) {
      if (!node.node.view.in[i].present || node.node.view.in[i].constant) continue;
      Places& value = places[node.node.in[i]];
      (node.row == nullptr || Lists(host, i) ? value.read_on_cpu : value.read_on_device) = &node;
    }
    for (size_t i = 0; i < node.node.out.size(); ++i) {
      if (node.node.out[i] == nullptr) continue;
      Places& value = places[node.node.out[i]];
      (node.row == nullptr || Lists(host_out, i) ? value.made_on_cpu : value.made_on_device) = &node;
    }
  }
  return places;
}

std::string NameOf(const Candidate& node) {
  return Join(node.node.view.op, " node '", node.node.view.name, "'");
}

std::string Why(const Candidate& node) {
  return node.row == nullptr ? Join(" (on the CPU: ", node.reason, ")") : std::string();
}

}  // namespace

void SendShapesToDevice(std::vector<Candidate>& nodes) {
  const auto places = FindPlaces(nodes);
  for (Candidate& node : nodes)
    for (const OrtValueInfo* out : node.node.out)
      if (const auto at = places.find(out); node.row && at != places.end())
        node.on_device = node.on_device || (at->second.made_on_cpu && at->second.read_on_device);
}

std::vector<std::string> CaptureObstacles(const std::vector<Candidate>& nodes) {
  std::vector<std::string> list;
  for (const Candidate& node : nodes)
    if (node.has_subgraphs) list.push_back(NameOf(node) + " is control flow");
  for (const auto& [value, at] : FindPlaces(nodes)) {
    if (at.made_on_device && at.read_on_cpu)
      list.push_back(Join(NameOf(*at.read_on_cpu), Why(*at.read_on_cpu), " reads on the CPU what ",
                          NameOf(*at.made_on_device), " computes on the GPU"));
    else if (at.made_on_cpu && at.read_on_device)
      list.push_back(Join(NameOf(*at.read_on_device), " reads on the GPU what ", NameOf(*at.made_on_cpu),
                          Why(*at.made_on_cpu), " computes on the CPU"));
    else if (at.read_on_cpu && at.read_on_device)
      list.push_back(Join(NameOf(*at.read_on_cpu), Why(*at.read_on_cpu), " and ", NameOf(*at.read_on_device),
                          " read the same input, one on the CPU and one on the GPU"));
  }
  return list;
}

}  // namespace daybreak
