#include "ep/kernel.h"

#include "ep/plan.h"
#include "ep/rows.h"

namespace daybreak {
namespace {

// A string that ORT writes in two calls: its size, then its bytes.
template <class F>
std::string ReadString(F&& call) {
  size_t size = 0;
  if (OrtStatus* status = call(nullptr, &size)) api.ort->ReleaseStatus(status);
  std::string text(size, '\0');
  Ok(call(text.data(), &size));
  text.resize(size == 0 ? 0 : size - 1);
  return text;
}

// Fills `value` with the node's attribute of the type that it holds; false when there is none.
struct AttributeReader {
  const OrtKernelInfo* info;
  const char* name;

  static bool Found(OrtStatus* status) {
    if (status == nullptr) return true;
    api.ort->ReleaseStatus(status);
    return false;
  }
  bool operator()(int64_t& value) const {
    return Found(api.ort->KernelInfoGetAttribute_int64(info, name, &value));
  }
  bool operator()(float& value) const {
    return Found(api.ort->KernelInfoGetAttribute_float(info, name, &value));
  }
  bool operator()(std::string& value) const {
    size_t size = 0;
    if (!Found(api.ort->KernelInfoGetAttribute_string(info, name, nullptr, &size))) return false;
    value = ReadString(
        [&](char* out, size_t* n) { return api.ort->KernelInfoGetAttribute_string(info, name, out, n); });
    return true;
  }
  bool operator()(std::vector<int64_t>& value) const {
    size_t size = 0;
    if (!Found(api.ort->KernelInfoGetAttributeArray_int64(info, name, nullptr, &size))) return false;
    value.resize(size);
    return size == 0 || Found(api.ort->KernelInfoGetAttributeArray_int64(info, name, value.data(), &size));
  }
  bool operator()(std::vector<float>& value) const {
    size_t size = 0;
    if (!Found(api.ort->KernelInfoGetAttributeArray_float(info, name, nullptr, &size))) return false;
    value.resize(size);
    return size == 0 || Found(api.ort->KernelInfoGetAttributeArray_float(info, name, value.data(), &size));
  }
  bool operator()(std::vector<std::string>& value) const {
    OrtAllocator* cpu = Get<OrtAllocator*>(api.ort->GetAllocatorWithDefaultOptions);
    char** texts = nullptr;
    size_t size = 0;
    if (!Found(api.ort->KernelInfoGetAttributeArray_string(info, name, cpu, &texts, &size))) return false;
    for (size_t i = 0; i < size; ++i) {
      value.emplace_back(texts[i]);
      cpu->Free(cpu, texts[i]);
    }
    if (texts != nullptr) cpu->Free(cpu, texts);
    return true;
  }
  bool operator()(Attrs::TensorValue& value) const {
    OrtAllocator* cpu = Get<OrtAllocator*>(api.ort->GetAllocatorWithDefaultOptions);
    OrtValue* made = nullptr;
    if (!Found(api.ort->KernelInfoGetAttribute_tensor(info, name, cpu, &made))) return false;
    const Own<OrtValue> tensor(made);
    value = ReadTensor(tensor.get());
    return true;
  }
};

struct Kernel : OrtKernelImpl, Home {
  Kernel(const OpDef& row, const OrtKernelInfo* info);

  // What is known of the inputs, and their names.
  void ReadInputs(std::vector<ValueInfo>& in, std::vector<std::string>& names) const;

  Own<OrtKernelInfo> info;
  NodeFacts node;
};

Kernel::Kernel(const OpDef& row, const OrtKernelInfo* given)
    : OrtKernelImpl{}, info(Make<OrtKernelInfo>(api.ort->CopyKernelInfo, given)) {
  const OrtKernelInfo* i = info.get();
  node.session = &SessionOf(Get<const OrtEp*>(api.ep->KernelInfo_GetEp, i));
  node.row = &row;
  node.name = ReadString([&](char* out, size_t* n) { return api.ort->KernelInfo_GetNodeName(i, out, n); });
  node.tag = {node.name.c_str(), row.name};
  node.since = Get<int>(api.ort->KernelInfo_GetOperatorSinceVersion, i);
  node.attrs = Attrs([i](const std::string& name, Attrs::Value& value) {
    return std::visit(AttributeReader{i, name.c_str()}, value);
  });
  node.host_in.resize(Get<size_t>(api.ort->KernelInfo_GetInputCount, i));
  for (const size_t index : HostInputs(row, node.session->capture))
    if (index < node.host_in.size()) node.host_in[index] = true;
  const size_t outputs = Get<size_t>(api.ort->KernelInfo_GetOutputCount, i);
  node.host_out.resize(outputs);
  for (const size_t index : ParseIndices(row.host_out))
    if (index < outputs) node.host_out[index] = true;
  for (size_t o = 0; o < outputs; ++o) {
    const std::string name =
        ReadString([&](char* out, size_t* n) { return api.ort->KernelInfo_GetOutputName(i, o, out, n); });
    node.out_types.push_back(DType::kUndefined);
    if (!name.empty())
      node.out_types.back() =
          ReadType(Make<OrtTypeInfo>(api.ort->KernelInfo_GetOutputTypeInfo, i, o).get()).type;
  }
  std::vector<ValueInfo> in;
  std::vector<std::string> names;
  ReadInputs(in, names);
  node.packed = PackedValuesOf(row, node.attrs, in, names);
  CheckOrder(node, names);

  ort_version_supported = kOrtApi;
  Compute = [](OrtKernelImpl* self, OrtKernelContext* context) noexcept {
    return Guard([&] { RunNode(Enter<Kernel>(self).node, context); });
  };
  Release = [](OrtKernelImpl* self) noexcept { delete &Enter<Kernel>(self); };
}

void Kernel::ReadInputs(std::vector<ValueInfo>& in, std::vector<std::string>& names) const {
  in.resize(node.host_in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    names.push_back(ReadString(
        [&](char* out, size_t* n) { return api.ort->KernelInfo_GetInputName(info.get(), i, out, n); }));
    if (names[i].empty() || node.row->packed == nullptr) continue;
    in[i].present = true;
    const auto type = ReadType(Make<OrtTypeInfo>(api.ort->KernelInfo_GetInputTypeInfo, info.get(), i).get());
    in[i].type = type.type;
    in[i].has_shape = type.known;
    in[i].shape = type.shape;
    int constant = 0;
    const OrtValue* value = nullptr;
    Ok(api.ort->KernelInfoGetConstantInput_tensor(info.get(), i, &constant, &value));
    in[i].constant = constant != 0;
  }
}

}  // namespace

OrtStatus* ORT_API_CALL CreateKernel(void* kernel_row, const OrtKernelInfo* info,
                                     OrtKernelImpl** kernel) noexcept {
  return Guard([&] { *kernel = new Kernel(*Enter<const KernelRow>(kernel_row).row, info); });
}

}  // namespace daybreak
