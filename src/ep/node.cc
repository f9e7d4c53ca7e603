#include "ep/node.h"

#include "ep/session.h"

namespace daybreak {
namespace {

constexpr size_t kSmallConstant = 4096;

// Fills `value` with the attribute of the type that it holds.
struct AttributeCopy {
  const OrtOpAttr* attr;

  template <class T>
  void Scalar(OrtOpAttrType type, T& value) const {
    size_t bytes = 0;
    Ok(api.ort->ReadOpAttr(attr, type, &value, sizeof(T), &bytes));
  }
  // ReadOpAttr fails and tells the size when the room is too small.
  size_t Bytes(OrtOpAttrType type) const {
    size_t bytes = 0;
    if (OrtStatus* status = api.ort->ReadOpAttr(attr, type, nullptr, 0, &bytes))
      api.ort->ReleaseStatus(status);
    return bytes;
  }
  template <class T>
  std::vector<T> List(OrtOpAttrType type) const {
    std::vector<T> list(Bytes(type) / sizeof(T));
    size_t bytes = 0;
    if (!list.empty()) Ok(api.ort->ReadOpAttr(attr, type, list.data(), list.size() * sizeof(T), &bytes));
    return list;
  }
};

// Strings arrive as one block of null-terminated texts.
std::vector<std::string> SplitTexts(const std::vector<char>& block) {
  std::vector<std::string> list;
  for (size_t at = 0; at < block.size();) {
    list.emplace_back(&block[at]);
    at += list.back().size() + 1;
  }
  return list;
}

void ReadAttribute(const OrtOpAttr* attr, Attrs& attrs) {
  const std::string name = Get<const char*>(api.ort->OpAttr_GetName, attr);
  const AttributeCopy copy{attr};
  switch (Get<OrtOpAttrType>(api.ort->OpAttr_GetType, attr)) {
    case ORT_OP_ATTR_INT: {
      int64_t value = 0;
      copy.Scalar(ORT_OP_ATTR_INT, value);
      return attrs.Set(name, value);
    }
    case ORT_OP_ATTR_FLOAT: {
      float value = 0;
      copy.Scalar(ORT_OP_ATTR_FLOAT, value);
      return attrs.Set(name, value);
    }
    case ORT_OP_ATTR_STRING: {
      const auto text = copy.List<char>(ORT_OP_ATTR_STRING);
      return attrs.Set(name, std::string(text.begin(), text.end()));
    }
    case ORT_OP_ATTR_INTS:
      return attrs.Set(name, copy.List<int64_t>(ORT_OP_ATTR_INTS));
    case ORT_OP_ATTR_FLOATS:
      return attrs.Set(name, copy.List<float>(ORT_OP_ATTR_FLOATS));
    case ORT_OP_ATTR_STRINGS:
      return attrs.Set(name, SplitTexts(copy.List<char>(ORT_OP_ATTR_STRINGS)));
    case ORT_OP_ATTR_TENSOR:
      return attrs.Set(name,
                       ReadTensor(Make<OrtValue>(api.ort->OpAttr_GetTensorAttributeAsOrtValue, attr).get()));
    default:
      return;  // Graphs belong to control flow, which no row takes.
  }
}

ValueInfo ReadValue(const OrtValueInfo* info) {
  ValueInfo out;
  if (info == nullptr) return out;
  out.present = true;
  TypeAndShape type = ReadType(Get<const OrtTypeInfo*>(api.ort->GetValueInfoTypeInfo, info));
  out.type = type.type;
  out.has_shape = type.known;
  out.shape = type.shape;
  out.constant = Get<bool>(api.ort->ValueInfo_IsConstantInitializer, info);
  bool static_shape = type.known && type.type != DType::kUndefined;
  for (const int64_t d : type.shape) static_shape = static_shape && d >= 0;
  if (!out.constant || !static_shape) return out;
  const size_t bytes = BytesOf(out.type, static_cast<size_t>(Count(out.shape)));
  if (bytes == 0 || bytes > kSmallConstant) return out;
  const OrtValue* value = Get<const OrtValue*>(api.ort->ValueInfo_GetInitializerValue, info);
  if (value != nullptr) out.data = Get<const void*>(api.ort->GetTensorData, value);
  return out;
}

}  // namespace

GraphNode ReadNode(const Session& session, const OrtNode* node) {
  const OrtApi& ort = *api.ort;
  GraphNode out{.node = node};
  NodeView& view = out.view;
  view.name = Get<const char*>(ort.Node_GetName, node);
  view.domain = Get<const char*>(ort.Node_GetDomain, node);
  view.op = Get<const char*>(ort.Node_GetOperatorType, node);
  view.since = Get<int>(ort.Node_GetSinceVersion, node);
  view.device = &session.device->Info();
  view.capture = session.capture;
  view.kv_bits = session.options.Int("kvCacheQuantizationBits");

  std::vector<const OrtOpAttr*> attrs(Get<size_t>(ort.Node_GetNumAttributes, node));
  if (!attrs.empty()) Ok(ort.Node_GetAttributes(node, attrs.data(), attrs.size()));
  for (const OrtOpAttr* attr : attrs) ReadAttribute(attr, view.attrs);

  out.in.resize(Get<size_t>(ort.Node_GetNumInputs, node));
  if (!out.in.empty()) Ok(ort.Node_GetInputs(node, out.in.data(), out.in.size()));
  out.out.resize(Get<size_t>(ort.Node_GetNumOutputs, node));
  if (!out.out.empty()) Ok(ort.Node_GetOutputs(node, out.out.data(), out.out.size()));
  for (const OrtValueInfo* value : out.in) view.in.push_back(ReadValue(value));
  for (const OrtValueInfo* value : out.out) view.out.push_back(ReadValue(value));
  return out;
}

}  // namespace daybreak
