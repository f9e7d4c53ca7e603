#include "ep/compiled.h"

#include <algorithm>

#include "ep/plan.h"
#include "ep/rows.h"
#include "ep/uses.h"

namespace daybreak {
namespace {

// For each value that the operator names, its place among those of the node that ORT runs; -1: absent.
std::vector<int> PlacesOf(const std::vector<std::string>& wanted, const std::vector<std::string>& given) {
  std::vector<int> places;
  for (const std::string& name : wanted) {
    const auto found = std::find(given.begin(), given.end(), name);
    Check(name.empty() || found != given.end(), "The fused node does not have the value '", name, "'.");
    places.push_back(name.empty() ? -1 : static_cast<int>(found - given.begin()));
  }
  return places;
}

struct Compiled : OrtNodeComputeInfo, Home {
  Compiled(Session& session, const Fusion& fusion, const std::vector<std::string>& inputs,
           const std::vector<std::string>& outputs)
      : OrtNodeComputeInfo{} {
    node.session = &session;
    node.row = fusion.row;
    node.name = fusion.name;
    node.tag = {node.name.c_str(), node.row->name};
    node.since = fusion.since;
    node.attrs = fusion.attrs;
    node.in_at = PlacesOf(fusion.in, inputs);
    node.out_at = PlacesOf(fusion.out, outputs);
    node.host_in.resize(fusion.in.size());
    node.packed = PackedValuesOf(*fusion.row, fusion.attrs, fusion.in_info, fusion.in);
    CheckOrder(node, fusion.in);
    node.mirror = fusion.mirror;
    node.out_types = fusion.out_types;
    node.host_out.resize(fusion.out.size());
    for (const size_t i : ParseIndices(node.row->host_out))
      if (i < node.host_out.size()) node.host_out[i] = true;

    ort_version_supported = kOrtApi;
    CreateState = [](OrtNodeComputeInfo* self, OrtNodeComputeContext*, void** state) noexcept {
      *state = self;
      return static_cast<OrtStatus*>(nullptr);
    };
    Compute = [](OrtNodeComputeInfo* self, void*, OrtKernelContext* context) noexcept {
      return Guard([&] { RunNode(Enter<Compiled>(self).node, context); });
    };
    ReleaseState = [](OrtNodeComputeInfo*, void*) noexcept {};
  }

  NodeFacts node;
};

}  // namespace

void CompileNodes(Session& session, const OrtNode* const* fused, size_t count,
                  OrtNodeComputeInfo** compiled) {
  for (size_t i = 0; i < count; ++i) {
    std::vector<const OrtValueInfo*> in(Get<size_t>(api.ort->Node_GetNumInputs, fused[i]));
    if (!in.empty()) Ok(api.ort->Node_GetInputs(fused[i], in.data(), in.size()));
    std::vector<const OrtValueInfo*> out(Get<size_t>(api.ort->Node_GetNumOutputs, fused[i]));
    Ok(api.ort->Node_GetOutputs(fused[i], out.data(), out.size()));
    const auto found = session.fusions.find(NameOf(out.at(0)));
    Check(found != session.fusions.end(), "The node of '", NameOf(out.at(0)),
          "' was not claimed as a fusion.");
    compiled[i] = new Compiled(session, found->second, NamesOf(in), NamesOf(out));
  }
}

void ReleaseNodes(OrtNodeComputeInfo** compiled, size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) delete &Enter<Compiled>(compiled[i]);
}

}  // namespace daybreak
