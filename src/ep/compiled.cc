#include "ep/compiled.h"

#include "ep/match.h"
#include "ep/node.h"
#include "ep/plan.h"
#include "ep/rows.h"

namespace daybreak {
namespace {

struct Compiled : OrtNodeComputeInfo, Home {
  Compiled(Session& session, const OrtNode* given) : OrtNodeComputeInfo{} {
    GraphNode read = ReadNode(session, given);
    const Match match = FindRow(read.view);
    Check(match.row != nullptr, "Node '", read.view.name, "' cannot be compiled: ", match.reason, ".");
    node.session = &session;
    node.row = match.row;
    node.name = read.view.name;
    node.tag = {node.name.c_str(), match.row->name};
    node.since = read.view.since;
    node.attrs = std::move(read.view.attrs);
    node.host_in.resize(read.in.size());
    node.mirror = true;
    for (const ValueInfo& out : read.view.out) node.out_types.push_back(out.type);
    node.host_out.resize(read.out.size());
    for (const size_t i : ParseIndices(match.row->host_out))
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

void CompileNodes(Session& session, const OrtGraph* const* graphs, size_t count,
                  OrtNodeComputeInfo** compiled) {
  for (size_t i = 0; i < count; ++i) {
    const size_t nodes = Get<size_t>(api.ort->Graph_GetNumNodes, graphs[i]);
    Check(nodes == 1, "A subgraph of ", nodes, " nodes cannot be compiled.");
    const OrtNode* node = nullptr;
    Ok(api.ort->Graph_GetNodes(graphs[i], &node, 1));
    compiled[i] = new Compiled(session, node);
  }
}

void ReleaseNodes(OrtNodeComputeInfo** compiled, size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) delete &Enter<Compiled>(compiled[i]);
}

}  // namespace daybreak
