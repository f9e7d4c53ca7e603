// What one operator file sees: rows, plans and dispatches. No ONNX Runtime and no WebGPU.
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/device_info.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/packing.h"
#include "core/shape.h"
#include "core/tensor.h"
#include "core/tuning.h"

namespace daybreak {

// Attributes of a node, parsed once at kernel creation.
class Attrs {
 public:
  // A tensor attribute: its bytes lie in this object.
  struct TensorValue {
    DType type;
    Shape shape;
    std::vector<uint8_t> bytes;
  };
  using Value = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                             std::vector<std::string>, TensorValue>;

  // Gives the attributes that were not Set as they are asked for: `value` arrives with the wanted
  // alternative; true when it was filled, false when the node has no such attribute of that type.
  using Source = std::function<bool(const std::string& name, Value& value)>;

  Attrs() = default;
  // Asks `source` once for a name and type and keeps the answer. Not for use by several threads at a time.
  explicit Attrs(Source source) : source_(std::move(source)) {}

  void Set(std::string name, Value value) { list_.emplace_back(std::move(name), std::move(value)); }
  bool Has(std::string_view name) const;

  // Each returns `fallback` when the attribute is absent, and Errors when it has another type.
  int64_t Int(std::string_view name, int64_t fallback) const;
  float Float(std::string_view name, float fallback) const;
  std::string String(std::string_view name, std::string_view fallback) const;
  std::vector<int64_t> Ints(std::string_view name) const;  // empty when absent
  std::vector<float> Floats(std::string_view name) const;  // empty when absent
  std::vector<std::string> Strings(std::string_view name) const;
  const TensorValue* TensorAttr(std::string_view name) const;  // nullptr when absent

 private:
  // `kind` is the index of the wanted alternative of Value.
  const Value* Find(std::string_view name, size_t kind) const;

  Source source_;
  mutable std::deque<std::pair<std::string, Value>> list_;
  mutable std::vector<std::pair<std::string, size_t>> absent_;
};

// What a plan may ask for. src/ep implements it over ONNX Runtime's kernel context; tests over plain shapes.
// A plan reads top to bottom: attributes, shape rule, constants, bindings, params, grid. It keeps no state
// but that of State().
class Plan {
 public:
  virtual ~Plan() = default;

  // Input i, or nullptr when it is optional and absent. Valid until the plan returns.
  virtual const Tensor* In(size_t i) = 0;
  virtual size_t InCount() = 0;
  // Creates output i with this shape (its type is the model's). nullptr when the model omits the output.
  virtual const Tensor* Out(size_t i, const Shape& shape) = 0;
  virtual size_t OutCount() = 0;
  // Device memory that lives until the dispatches of this plan have run.
  virtual const Tensor* Scratch(DType type, const Shape& shape) = 0;
  // Device memory of `bytes` bytes (a multiple of 4) as u32, zeros at first, that lives as long as the
  // session. Every plan of the session that asks for so many bytes gets the same, so each dispatch leaves it
  // as the next one wants it.
  virtual const Tensor* State(size_t bytes) = 0;
  // True when input i is in packed order: what OpDef::packed lists, but values that follow others only where
  // those ask for it.
  virtual bool IsPacked(size_t i) = 0;

  virtual const Attrs& Attributes() = 0;
  virtual const DeviceInfo& Device() = 0;
  // What is known of variants besides their tables (core/tuning.h), or nullptr.
  virtual Tuning* Tuned() { return nullptr; }
  // The node's operator version (schema since-version).
  virtual int Since() = 0;
  // A session option that kernels read (see docs/options.md), for example "kvCacheQuantizationBits".
  virtual int64_t Option(std::string_view name) = 0;
  // True while the run is recorded: host values must not decide what the recording does later.
  virtual bool Capturing() = 0;

  // Issues the dispatch; an empty grid or an empty output is skipped.
  virtual void Run(const Dispatch& dispatch) = 0;
  // Copies `bytes` bytes between tensors (offsets and sizes in bytes, multiples of 4 unless at the tensor's
  // end).
  virtual void Copy(const Tensor* from, const Tensor* to, size_t bytes, size_t from_offset = 0,
                    size_t to_offset = 0) = 0;

  int64_t Attr(std::string_view name, int64_t fallback) { return Attributes().Int(name, fallback); }
  int64_t Attr(std::string_view name, int fallback) { return Attributes().Int(name, fallback); }
  float Attr(std::string_view name, float fallback) { return Attributes().Float(name, fallback); }
  std::string Attr(std::string_view name, const char* fallback) {
    return Attributes().String(name, fallback);
  }
};

// What is known of a value before the model runs.
struct ValueInfo {
  bool present = false;
  DType type = DType::kUndefined;
  bool has_shape = false;
  Shape shape;  // -1 where a dimension is not known
  bool constant = false;
  // Bytes of a small constant (at most 4 KiB), for rules that depend on its value; null otherwise.
  const void* data = nullptr;
};

// A node before it is claimed.
struct NodeView {
  std::string name, domain, op;
  int since = 0;
  Attrs attrs;
  std::vector<ValueInfo> in, out;
  const DeviceInfo* device = nullptr;
  bool capture = false;  // graph capture is enabled
  int64_t kv_bits = 0;   // option kvCacheQuantizationBits

  int64_t Attr(std::string_view key, int64_t fallback) const { return attrs.Int(key, fallback); }
  int64_t Attr(std::string_view key, int fallback) const { return attrs.Int(key, fallback); }
  float Attr(std::string_view key, float fallback) const { return attrs.Float(key, fallback); }
  bool Has(size_t i) const { return i < in.size() && in[i].present; }
  bool HasOut(size_t i) const { return i < out.size() && out[i].present; }
};

// Newest operator version: a row with this `until` takes every later version that ORT knows.
inline constexpr int kNewest = 1000;

// Domain of operators that no model has: src/ep makes their nodes of several of a model's.
inline constexpr const char* kFusedDomain = "daybreak";

// One operator. Rows are designated initialisers; keep them at the bottom of the operator's file.
struct OpDef {
  const char* domain = "";
  const char* name = "";
  int since = 1, until = kNewest;  // closed range of schema versions
  // Allowed types by the schema's type-constraint names: "T: f32 f16; Tind: i32 i64". "*" stands for every
  // type. A constraint that is not named takes any type.
  const char* types = "";
  void (*plan)(Plan&) = nullptr;
  // The reason why this node is not taken, or "" to take it.
  std::string (*declines)(const NodeView&) = nullptr;
  const char* host = "";        // inputs read on the CPU, by index: "1 2"
  const char* host_eager = "";  // inputs read on the CPU unless graph capture is enabled (then on the device)
  const char* host_out = "";    // outputs written on the CPU
  const char* alias = "";       // "0>0": the output is the input's memory (operators that only rename)
  // The inputs that the plan gets in packed order. Constants are put into it once, and in place where all
  // that read them agree; others at each run.
  PackedInputs (*packed)(const Attrs&, std::span<const ValueInfo> in) = nullptr;
};

// Registers rows at load time. The plugin links operator files as objects, so none is dropped.
struct Register {
  Register(std::initializer_list<OpDef> rows);
};

// All rows, in no particular order.
std::span<const OpDef> Ops();

}  // namespace daybreak
