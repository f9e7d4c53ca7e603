#include "ep/api.h"

namespace daybreak {
namespace {

constexpr std::pair<DType, ONNXTensorElementDataType> kTypes[] = {
    {DType::kF32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {DType::kF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {DType::kBF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
    {DType::kF64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {DType::kI8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {DType::kU8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {DType::kI16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
    {DType::kU16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
    {DType::kI32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {DType::kU32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {DType::kI64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {DType::kU64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
    {DType::kBool, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
    {DType::kI4, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4},
    {DType::kU4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4},
};

}  // namespace

constinit thread_local Api api;

Own<OrtKeyValuePairs> MakePairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  OrtKeyValuePairs* made = nullptr;
  api.ort->CreateKeyValuePairs(&made);
  for (const auto& [key, value] : pairs) api.ort->AddKeyValuePair(made, key.c_str(), value.c_str());
  return Own<OrtKeyValuePairs>(made);
}

std::vector<std::pair<std::string, std::string>> ReadPairs(const OrtKeyValuePairs& pairs) {
  const char* const* keys = nullptr;
  const char* const* values = nullptr;
  size_t count = 0;
  api.ort->GetKeyValuePairs(&pairs, &keys, &values, &count);
  std::vector<std::pair<std::string, std::string>> list;
  for (size_t i = 0; i < count; ++i) list.emplace_back(keys[i], values[i]);
  return list;
}

DType FromOrt(ONNXTensorElementDataType type) {
  for (const auto& [own, ort] : kTypes)
    if (ort == type) return own;
  return DType::kUndefined;
}

ONNXTensorElementDataType ToOrt(DType type) {
  for (const auto& [own, ort] : kTypes)
    if (own == type) return ort;
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

const std::vector<DType>& AllTypes() {
  static const std::vector<DType> all = [] {
    std::vector<DType> list;
    for (const auto& [own, ort] : kTypes) list.push_back(own);
    return list;
  }();
  return all;
}

TypeAndShape ReadType(const OrtTypeInfo* type) {
  TypeAndShape out;
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  if (type != nullptr) Ok(api.ort->CastTypeInfoToTensorInfo(type, &tensor));
  if (tensor == nullptr) return out;
  out.type = FromOrt(Get<ONNXTensorElementDataType>(api.ort->GetTensorElementType, tensor));
  out.known = api.ort->TensorTypeAndShape_HasShape(tensor);
  if (!out.known) return out;
  const size_t rank = Get<size_t>(api.ort->GetDimensionsCount, tensor);
  if (rank > kMaxRank) {
    out.known = false;
    return out;
  }
  out.shape.resize(rank);
  Ok(api.ort->GetDimensions(tensor, out.shape.data(), rank));
  return out;
}

Attrs::TensorValue ReadTensor(const OrtValue* value) {
  ONNXTensorElementDataType type;
  const int64_t* dims = nullptr;
  size_t rank = 0;
  Ok(api.ort->GetTensorElementTypeAndShapeDataReference(value, &type, &dims, &rank));
  Attrs::TensorValue out{FromOrt(type), Shape(dims, dims + rank), {}};
  if (out.type == DType::kUndefined) return out;
  const auto* data = static_cast<const uint8_t*>(Get<const void*>(api.ort->GetTensorData, value));
  const size_t bytes = BytesOf(out.type, static_cast<size_t>(Count(out.shape)));
  if (bytes > 0) out.bytes.assign(data, data + bytes);
  return out;
}

bool Logs(const OrtLogger* logger, OrtLoggingLevel level) {
  if (logger == nullptr) return false;
  return level >= Get<OrtLoggingLevel>(api.ort->Logger_GetLoggingSeverityLevel, logger);
}

void Log(const OrtLogger* logger, OrtLoggingLevel level, const std::string& message) {
  if (!Logs(logger, level)) return;
  Ok(api.ort->Logger_LogMessage(logger, level, message.c_str(), ORT_TSTR("daybreak"), 0, "Daybreak"));
}

}  // namespace daybreak
