#include "ep/foresee.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "ep/rehearsal.h"
#include "ep/rows.h"
#include "ep/uses.h"

namespace daybreak {
namespace {

// Reads the graph of a session into a Model. Attributes and data stay where they are.
class Reader {
 public:
  Reader(const Session& session, const std::vector<Candidate>& nodes) : session_(session) {
    for (const Candidate& node : nodes) ReadValues(node);
    for (const Candidate& node : nodes)
      if (node.row != nullptr && node.fused.empty() && !node.on_device) AddNode(node);
    std::set<const Fusion*> fusions;
    for (const auto& [out, fusion] : session.fusions)
      if (FirstOut(fusion) == out) AddFusion(fusion);
    Sort();
  }

  Model model;

 private:
  static std::string FirstOut(const Fusion& fusion) {
    const auto found = std::find_if(fusion.out.begin(), fusion.out.end(), [](auto& n) { return !n.empty(); });
    return found == fusion.out.end() ? "" : *found;
  }

  void ReadValues(const Candidate& node) {
    for (size_t i = 0; i < node.node.in.size(); ++i) ReadValue(node.node.in[i], node.node.view.in[i]);
    for (size_t i = 0; i < node.node.out.size(); ++i) ReadValue(node.node.out[i], node.node.view.out[i]);
  }

  void ReadValue(Value given, const ValueInfo& info) {
    if (given == nullptr || !place_of_.emplace(NameOf(given), model.values.size()).second) return;
    ModelValue value{
        .name = NameOf(given), .type = info.type, .has_shape = info.has_shape, .data = info.data};
    value.output = Get<bool>(api.ort->ValueInfo_IsGraphOutput, given);
    value.input = !info.constant && (Get<bool>(api.ort->ValueInfo_IsRequiredGraphInput, given) ||
                                     Get<bool>(api.ort->ValueInfo_IsOptionalGraphInput, given));
    bool fixed = true;
    for (const int64_t size : info.shape) {
      value.shape.push_back({size, ""});
      fixed = fixed && size >= 0;
    }
    if (!fixed) ReadNames(given, value);
    model.values.push_back(std::move(value));
  }

  // A size of an input that has no name is known by its place.
  static void ReadNames(Value given, ModelValue& value) {
    const auto* type = Get<const OrtTypeInfo*>(api.ort->GetValueInfoTypeInfo, given);
    const auto* shape = Get<const OrtTensorTypeAndShapeInfo*>(api.ort->CastTypeInfoToTensorInfo, type);
    std::vector<const char*> names(value.shape.size());
    Ok(api.ort->GetSymbolicDimensions(shape, names.data(), names.size()));
    for (size_t d = 0; d < names.size(); ++d) {
      value.shape[d].name = names[d];
      if (value.input && value.shape[d].name.empty()) value.shape[d].name = Join(value.name, ":", d);
    }
  }

  int PlaceOf(const std::string& name) const {
    const auto found = place_of_.find(name);
    return found == place_of_.end() ? -1 : static_cast<int>(found->second);
  }

  void AddNode(const Candidate& node) {
    const NodeView& view = node.node.view;
    Add({.row = node.row, .since = view.since, .attrs = &view.attrs}, NamesOf(node.node.in), view.in,
        NamesOf(node.node.out), HostInputs(*node.row, session_.capture));
  }

  // A compiled node has all its inputs on the device.
  void AddFusion(const Fusion& fusion) {
    Add({.row = fusion.row, .since = fusion.since, .attrs = &fusion.attrs}, fusion.in, fusion.in_info,
        fusion.out, {});
  }

  PackedInputs PackedOf(const OpDef& row, const Attrs& attrs, const std::vector<ValueInfo>& in,
                        const std::vector<std::string>& names) const {
    PackedInputs packed;
    const std::vector<PackedValue> values = PackedValuesOf(row, attrs, in, names);
    for (size_t i = 0; i < values.size(); ++i) {
      const bool follows = values[i].follows && session_.packing.HoldOf(values[i]) != Hold::kInPlace;
      if (values[i].order.columns != 0 && !follows) packed.push_back({i, values[i].order});
    }
    return packed;
  }

  void Add(ModelNode node, const std::vector<std::string>& in, const std::vector<ValueInfo>& in_info,
           const std::vector<std::string>& out, const std::vector<size_t>& host_in) {
    for (const std::string& name : in) node.in.push_back(PlaceOf(name));
    for (const std::string& name : out) node.out.push_back(PlaceOf(name));
    node.packed = PackedOf(*node.row, *node.attrs, in_info, in);
    for (size_t i = 0; i < node.in.size(); ++i) node.host_in.push_back(Lists(host_in, i));
    const std::vector<size_t> host_out = ParseIndices(node.row->host_out);
    for (size_t i = 0; i < node.out.size(); ++i) node.host_out.push_back(Lists(host_out, i));
    model.nodes.push_back(std::move(node));
  }

  // Puts fusions where they belong: behind what makes their inputs.
  void Sort() {
    std::vector<int> maker(model.values.size(), -1);
    for (size_t n = 0; n < model.nodes.size(); ++n)
      for (const int v : model.nodes[n].out)
        if (v >= 0) maker[static_cast<size_t>(v)] = static_cast<int>(n);
    std::vector<ModelNode> given = std::exchange(model.nodes, {});
    std::vector<bool> seen(given.size());
    for (size_t n = 0; n < given.size(); ++n) Take(n, maker, given, seen);
  }

  void Take(size_t n, const std::vector<int>& maker, std::vector<ModelNode>& given, std::vector<bool>& seen) {
    if (seen[n]) return;
    seen[n] = true;
    for (const int v : given[n].in)
      if (v >= 0 && maker[static_cast<size_t>(v)] >= 0)
        Take(static_cast<size_t>(maker[static_cast<size_t>(v)]), maker, given, seen);
    model.nodes.push_back(std::move(given[n]));
  }

  const Session& session_;
  std::unordered_map<std::string, size_t> place_of_;
};

}  // namespace

void Foresee(const Session& session, const std::vector<Candidate>& nodes) noexcept {
  try {
    const Reader reader(session, nodes);
    Device& device = *session.device;
    Tuning tuning{.kept = session.tuning.kept};
    RehearseFirstRuns(reader.model, session.capture,
                      {.device = device.Info(),
                       .option = [&](std::string_view name) { return session.options.Int(name); },
                       .dispatched = [&](const Dispatch& dispatch) { device.Foresee(dispatch); },
                       .tuning = &tuning});
  } catch (const std::exception& e) {
    Log(session.logger, ORT_LOGGING_LEVEL_VERBOSE, Join("The model is not rehearsed: ", e.what()));
  }
}

}  // namespace daybreak
