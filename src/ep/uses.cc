#include "ep/uses.h"

namespace daybreak {

Uses::Uses(const std::vector<Candidate>& nodes) {
  for (size_t n = 0; n < nodes.size(); ++n) {
    const GraphNode& node = nodes[n].node;
    for (size_t o = 0; o < node.out.size(); ++o)
      if (node.out[o] != nullptr) producer_[node.out[o]] = {n, o};
    for (size_t i = 0; i < node.in.size(); ++i)
      if (node.in[i] != nullptr) readers_[node.in[i]].push_back({n, i});
  }
}

const std::vector<Uses::Reader>& Uses::Readers(Value v) const {
  static const std::vector<Reader> none;
  const auto found = readers_.find(v);
  return found == readers_.end() ? none : found->second;
}

std::optional<size_t> Uses::Producer(Value v, size_t output) const {
  const auto found = producer_.find(v);
  if (found == producer_.end() || found->second.second != output) return std::nullopt;
  return found->second.first;
}

bool Uses::ReadOnlyBy(Value v, size_t count) const {
  return Readers(v).size() == count && HasReadersOnly(v, count);
}

bool HasReadersOnly(Value v, size_t count) {
  // Consumers include nodes whose subgraphs read the value.
  return Get<size_t>(api.ort->ValueInfo_GetValueNumConsumers, v) == count &&
         !Get<bool>(api.ort->ValueInfo_IsGraphOutput, v);
}

std::string NameOf(Value v) { return v == nullptr ? "" : Get<const char*>(api.ort->GetValueInfoName, v); }

std::vector<std::string> NamesOf(const std::vector<Value>& values) {
  std::vector<std::string> names;
  for (const Value v : values) names.push_back(NameOf(v));
  return names;
}

DType TypeOf(Value v) {
  return v == nullptr ? DType::kUndefined
                      : ReadType(Get<const OrtTypeInfo*>(api.ort->GetValueInfoTypeInfo, v)).type;
}

bool SameShape(Value a, Value b) {
  std::vector<std::string> texts[2];
  for (const size_t side : {0, 1}) {
    const auto* type = Get<const OrtTypeInfo*>(api.ort->GetValueInfoTypeInfo, side == 0 ? a : b);
    const auto* shape = Get<const OrtTensorTypeAndShapeInfo*>(api.ort->CastTypeInfoToTensorInfo, type);
    if (shape == nullptr || !api.ort->TensorTypeAndShape_HasShape(shape)) return false;
    const auto rank = Get<size_t>(api.ort->GetDimensionsCount, shape);
    std::vector<int64_t> sizes(rank);
    std::vector<const char*> names(rank);
    Ok(api.ort->GetDimensions(shape, sizes.data(), rank));
    Ok(api.ort->GetSymbolicDimensions(shape, names.data(), rank));
    for (size_t d = 0; d < rank; ++d) {
      if (sizes[d] < 0 && *names[d] == '\0') return false;
      texts[side].push_back(sizes[d] < 0 ? Join("name ", names[d]) : Join("size ", sizes[d]));
    }
  }
  return texts[0] == texts[1];
}

}  // namespace daybreak
