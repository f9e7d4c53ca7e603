#include "ep/registry.h"

#include <algorithm>

#include "ep/kernel.h"
#include "ep/rows.h"

namespace daybreak {
namespace {

Own<OrtKernelDef> MakeDef(const char* ep_name, const OpDef& row, bool capture) {
  const OrtEpApi& ep = *api.ep;
  const auto builder = Make<OrtKernelDefBuilder>(ep.CreateKernelDefBuilder);
  OrtKernelDefBuilder* b = builder.get();
  Ok(ep.KernelDefBuilder_SetOperatorType(b, row.name));
  Ok(ep.KernelDefBuilder_SetDomain(b, row.domain));
  Ok(ep.KernelDefBuilder_SetSinceVersion(b, row.since, row.until));
  Ok(ep.KernelDefBuilder_SetExecutionProvider(b, ep_name));
  for (const size_t i : HostInputs(row, capture))
    Ok(ep.KernelDefBuilder_SetInputMemType(b, i, OrtMemTypeCPUInput));
  for (const size_t i : ParseIndices(row.host_out))
    Ok(ep.KernelDefBuilder_SetOutputMemType(b, i, OrtMemTypeCPUOutput));
  for (const TypeRule& rule : ParseTypes(row.types)) {
    std::vector<const OrtDataType*> types;
    for (const DType type : rule.types)
      types.push_back(Get<const OrtDataType*>(ep.GetTensorDataType, ToOrt(type)));
    Ok(ep.KernelDefBuilder_AddTypeConstraint(b, rule.name.c_str(), types.data(), types.size()));
  }
  std::vector<int> from, to;
  for (const auto& [in, out] : ParseAliases(row.alias)) {
    from.push_back(in);
    to.push_back(out);
  }
  if (!from.empty()) Ok(ep.KernelDefBuilder_AddInputOutputAliases(b, from.data(), to.data(), from.size()));
  return Make<OrtKernelDef>(ep.KernelDefBuilder_Build, b);
}

// Names that a row may constrain: the schema's type parameters.
std::vector<std::string> NamesOf(const OrtOpSchema* schema) {
  const OrtEpApi& ep = *api.ep;
  std::vector<std::string> names;
  for (size_t i = 0; i < Get<size_t>(ep.OpSchema_GetTypeConstraintCount, schema); ++i) {
    const auto* constraint = Get<const OrtOpSchemaTypeConstraint*>(ep.OpSchema_GetTypeConstraint, schema, i);
    names.emplace_back(Get<const char*>(ep.OpSchemaTypeConstraint_GetTypeParamName, constraint));
  }
  return names;
}

// Warns of a row that constrains a name which is no type parameter of the operator's schema: ORT never finds
// its kernel.
void CheckNames(const OpDef& row, const OrtLogger* logger) {
  for (const int version : {row.since, row.until}) {
    OrtOpSchema* found = nullptr;
    Ok(api.ep->GetOpSchema(row.name, version, row.domain, &found));
    const Own<OrtOpSchema> schema(found);
    if (!schema) continue;
    const std::vector<std::string> names = NamesOf(schema.get());
    for (const TypeRule& rule : ParseTypes(row.types))
      if (std::find(names.begin(), names.end(), rule.name) == names.end())
        Log(logger, ORT_LOGGING_LEVEL_WARNING,
            Join("The row of ", row.name, " (", row.since, "..", row.until, ") constrains '", rule.name,
                 "', which is no type parameter of the operator's schema."));
  }
}

}  // namespace

KernelRegistry MakeRegistry(const char* ep_name, bool capture, const OrtLogger* logger) {
  KernelRegistry registry{{}, Make<OrtKernelRegistry>(api.ep->CreateKernelRegistry)};
  for (const OpDef& row : Ops()) {
    if (row.domain == std::string_view(kFusedDomain)) continue;
    try {
      const auto def = MakeDef(ep_name, row, capture);
      registry.rows.push_back({{}, &row});
      Ok(api.ep->KernelRegistry_AddKernel(registry.kernels.get(), def.get(), CreateKernel,
                                          &registry.rows.back()));
      CheckNames(row, logger);
    } catch (const std::exception& e) {
      Fail("Row of ", row.name, " (", row.since, "..", row.until, "): ", e.what());
    }
  }
  return registry;
}

}  // namespace daybreak
