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

// An empty Value of the alternative with this index.
template <size_t kind = 0>
static Attrs::Value ValueOf(size_t index) {
  if constexpr (kind + 1 < std::variant_size_v<Attrs::Value>)
    if (index != kind) return ValueOf<kind + 1>(index);
  return Attrs::Value(std::in_place_index<kind>);
}

template <class T, class... All>
static constexpr size_t IndexOf(const std::variant<All...>*) {
  size_t index = 0;
  (void)((std::is_same_v<T, All> || (++index, false)) || ...);
  return index;
}

template <class T>
static constexpr size_t kKind = IndexOf<T>(static_cast<const Attrs::Value*>(nullptr));

const Attrs::Value* Attrs::Find(std::string_view name, size_t kind) const {
  for (const auto& [key, value] : list_)
    if (key == name) return &value;
  if (!source_) return nullptr;
  for (const auto& [key, asked] : absent_)
    if (asked == kind && key == name) return nullptr;
  std::string key(name);
  Value value = ValueOf(kind);
  if (source_(key, value)) return &list_.emplace_back(std::move(key), std::move(value)).second;
  absent_.emplace_back(std::move(key), kind);
  return nullptr;
}

bool Attrs::Has(std::string_view name) const {
  for (size_t kind = 0; kind < std::variant_size_v<Value>; ++kind)
    if (Find(name, kind) != nullptr) return true;
  return false;
}

int64_t Attrs::Int(std::string_view name, int64_t fallback) const {
  const Value* value = Find(name, kKind<int64_t>);
  return value ? As<int64_t>(name, *value) : fallback;
}

float Attrs::Float(std::string_view name, float fallback) const {
  const Value* value = Find(name, kKind<float>);
  return value ? As<float>(name, *value) : fallback;
}

std::string Attrs::String(std::string_view name, std::string_view fallback) const {
  const Value* value = Find(name, kKind<std::string>);
  return value ? As<std::string>(name, *value) : std::string(fallback);
}

// ONNX drops the type of an empty list, so an empty list of any type is an empty result.
template <class T>
static std::vector<T> ListOf(std::string_view name, const Attrs::Value* value) {
  if (value == nullptr) return {};
  if (auto* ints = std::get_if<std::vector<int64_t>>(value); ints && ints->empty()) return {};
  return As<std::vector<T>>(name, *value);
}

std::vector<int64_t> Attrs::Ints(std::string_view name) const {
  return ListOf<int64_t>(name, Find(name, kKind<std::vector<int64_t>>));
}
std::vector<float> Attrs::Floats(std::string_view name) const {
  return ListOf<float>(name, Find(name, kKind<std::vector<float>>));
}
std::vector<std::string> Attrs::Strings(std::string_view name) const {
  return ListOf<std::string>(name, Find(name, kKind<std::vector<std::string>>));
}

const Attrs::TensorValue* Attrs::TensorAttr(std::string_view name) const {
  const Value* value = Find(name, kKind<TensorValue>);
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

uint64_t BindingsOf(const Dispatch& dispatch, const DeviceInfo& device) {
  uint64_t count = 0;
  for (const Bind& b : dispatch.in) count += device.bindings(b.tensor->bytes());
  for (const Bind& b : dispatch.out) count += device.bindings(b.tensor->bytes());
  return count;
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
