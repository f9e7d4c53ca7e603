#include "core/op.h"

namespace daybreak {
namespace {

std::vector<OpDef>& Table() {
  static std::vector<OpDef> table;
  return table;
}

template <class T>
const T& As(std::string_view name, const Attrs::Value& value) {
  const T* typed = std::get_if<T>(&value);
  Check(typed != nullptr, "Attribute '", name, "' has an unexpected type.");
  return *typed;
}

}  // namespace

Register::Register(std::initializer_list<OpDef> rows) { Table().insert(Table().end(), rows); }

std::span<const OpDef> Ops() { return Table(); }

const Attrs::Value* Attrs::Find(std::string_view name) const {
  for (const auto& [key, value] : list_)
    if (key == name) return &value;
  return nullptr;
}

int64_t Attrs::Int(std::string_view name, int64_t fallback) const {
  const Value* value = Find(name);
  return value ? As<int64_t>(name, *value) : fallback;
}

float Attrs::Float(std::string_view name, float fallback) const {
  const Value* value = Find(name);
  return value ? As<float>(name, *value) : fallback;
}

std::string Attrs::String(std::string_view name, std::string_view fallback) const {
  const Value* value = Find(name);
  return value ? As<std::string>(name, *value) : std::string(fallback);
}

// ONNX drops the type of an empty list, so an empty list of any type is an empty result.
template <class T>
static std::vector<T> ListOf(std::string_view name, const Attrs::Value* value) {
  if (value == nullptr) return {};
  if (auto* ints = std::get_if<std::vector<int64_t>>(value); ints && ints->empty()) return {};
  return As<std::vector<T>>(name, *value);
}

std::vector<int64_t> Attrs::Ints(std::string_view name) const { return ListOf<int64_t>(name, Find(name)); }
std::vector<float> Attrs::Floats(std::string_view name) const { return ListOf<float>(name, Find(name)); }
std::vector<std::string> Attrs::Strings(std::string_view name) const {
  return ListOf<std::string>(name, Find(name));
}

const Attrs::TensorValue* Attrs::TensorAttr(std::string_view name) const {
  const Value* value = Find(name);
  return value ? &As<TensorValue>(name, *value) : nullptr;
}

FixedVec<int64_t, 64> HostInts(const Tensor& tensor) {
  FixedVec<int64_t, 64> out;
  if (tensor.type == DType::kI32) {
    for (const int32_t v : tensor.Host<int32_t>()) out.push_back(v);
  } else {
    Check(tensor.type == DType::kI64, "An integer list has type ", NameOf(tensor.type), ", not i32 or i64.");
    for (const int64_t v : tensor.Host<int64_t>()) out.push_back(v);
  }
  return out;
}

uint32_t PerThread(const Bind& bind) {
  if (bind.width > 1 || bind.view == View::kWords || bind.view == View::kAtomic) return bind.width;
  const size_t bits = BitsOf(bind.tensor->type);
  if (bind.tensor->type == DType::kF16 && bind.view == View::kTyped) return 1;
  return bits >= 32 ? 1 : static_cast<uint32_t>(32 / bits);
}

Ints ToInts(const Shape& shape) {
  Ints out;
  for (const int64_t v : shape) out.push_back(U32(v));
  return out;
}

}  // namespace daybreak
