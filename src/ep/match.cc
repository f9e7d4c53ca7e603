#include "ep/match.h"

#include <algorithm>

#include "ep/api.h"
#include "ep/rows.h"

namespace daybreak {
namespace {

using Values = std::vector<ValueInfo>;

// The values of a node that a schema's type parameter `name` governs. Entries beyond the schema's last one
// belong to its variadic last one.
std::vector<const ValueInfo*> ValuesOf(const OrtOpSchema* schema, const std::string& name,
                                       const NodeView& node) {
  const OrtEpApi& ep = *api.ep;
  std::vector<const ValueInfo*> found;
  const auto add = [&](const Values& values, size_t count, auto constraint_of) {
    for (size_t i = 0; i < values.size() && count > 0; ++i) {
      const size_t formal = std::min(i, count - 1);
      const auto* constraint = Get<const OrtOpSchemaTypeConstraint*>(constraint_of, schema, formal);
      const char* parameter =
          constraint ? Get<const char*>(ep.OpSchemaTypeConstraint_GetTypeParamName, constraint) : "";
      if (values[i].present && name == parameter) found.push_back(&values[i]);
    }
  };
  add(node.in, Get<size_t>(ep.OpSchema_GetNumInputs, schema), ep.OpSchema_GetInputTypeConstraint);
  add(node.out, Get<size_t>(ep.OpSchema_GetNumOutputs, schema), ep.OpSchema_GetOutputTypeConstraint);
  return found;
}

std::string Names(const std::vector<DType>& types) {
  std::string list;
  for (const DType type : types) list += (list.empty() ? "" : " ") + std::string(NameOf(type));
  return list;
}

// "" when the node's types are among the row's.
std::string TypeReason(const OpDef& row, const NodeView& node) {
  OrtOpSchema* found = nullptr;
  Ok(api.ep->GetOpSchema(row.name, node.since, row.domain, &found));
  const Own<OrtOpSchema> schema(found);
  if (!schema) return "";
  for (const TypeRule& rule : ParseTypes(row.types))
    for (const ValueInfo* value : ValuesOf(schema.get(), rule.name, node))
      if (std::find(rule.types.begin(), rule.types.end(), value->type) == rule.types.end()) {
        const std::string_view type =
            value->type == DType::kUndefined ? "a type that the GPU does not have" : NameOf(value->type);
        return Join("type ", rule.name, " is ", type, "; the kernel takes ", Names(rule.types));
      }
  return "";
}

// Strings, sequences, 8-bit floats: no row takes them, also where it names no types.
std::string ValueReason(const NodeView& node) {
  for (const Values* values : {&node.in, &node.out})
    for (const ValueInfo& value : *values)
      if (value.present && value.type == DType::kUndefined)
        return "a value has a type that the GPU does not have";
  return "";
}

std::string DeviceReason(const NodeView& node) {
  if (node.device->f16) return "";
  for (const Values* values : {&node.in, &node.out})
    for (const ValueInfo& value : *values)
      if (value.present && value.type == DType::kF16) return "the device has no 16-bit floats";
  return "";
}

std::string RankReason(const NodeView& node) {
  for (const Values* values : {&node.in, &node.out})
    for (const ValueInfo& value : *values)
      if (value.has_shape && value.shape.size() > kMaxRank) return "a tensor has more than 8 dimensions";
  return "";
}

// A constant that no buffer holds, or that takes more bindings than the node's other tensors leave. Sizes of
// other values may depend on the run.
std::string SizeReason(const OpDef& row, const NodeView& node) {
  const DeviceInfo& device = *node.device;
  const std::vector<size_t> host = HostInputs(row, node.capture);
  uint64_t bindings = 0, largest = 0;
  std::string what;
  for (size_t i = 0; i < node.in.size(); ++i) {
    const ValueInfo& value = node.in[i];
    if (!value.present || Lists(host, i)) continue;
    const bool known = value.constant && value.has_shape;
    const uint64_t bytes = known ? BytesOf(value.type, static_cast<size_t>(Count(value.shape))) : 0;
    bindings += device.bindings(bytes);
    if (bytes <= largest) continue;
    largest = bytes;
    what = Join("the constant input ", i, " (", NameOf(value.type), ToString(value.shape), ") has ", bytes,
                " bytes; ");
  }
  if (largest > device.max_buffer) return Join(what, "maxBufferSize is ", device.max_buffer);
  if (device.bindings(largest) == 1) return "";
  for (const ValueInfo& value : node.out) bindings += value.present;
  if (bindings <= device.max_storage_buffers) return "";
  return Join(what, "maxStorageBufferBindingSize is ", device.max_binding, ", so that the node takes ",
              bindings, " bindings of ", device.max_storage_buffers);
}

}  // namespace

Match FindRow(const NodeView& node) {
  std::string versions, types;
  for (const OpDef& row : Ops()) {
    if (node.op != row.name || node.domain != row.domain) continue;
    if (node.since < row.since || node.since > row.until) {
      const std::string until = row.until == kNewest ? "newest" : std::to_string(row.until);
      versions += Join(versions.empty() ? "" : ", ", row.since, "..", until);
      continue;
    }
    types = TypeReason(row, node);
    if (!types.empty()) continue;
    std::string reason = ValueReason(node);
    if (reason.empty()) reason = DeviceReason(node);
    if (reason.empty()) reason = RankReason(node);
    if (reason.empty()) reason = SizeReason(row, node);
    if (reason.empty() && row.declines != nullptr) reason = row.declines(node);
    return {reason.empty() ? &row : nullptr, reason};
  }
  if (!types.empty()) return {nullptr, types};
  if (!versions.empty()) return {nullptr, Join("version ", node.since, " is not in ", versions)};
  return {nullptr, "no kernel for this operator"};
}

}  // namespace daybreak
