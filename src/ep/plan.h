// Plans over ONNX Runtime's kernel context, and over one weight for prepacking.
#pragma once

#include <array>
#include <map>

#include "core/op.h"
#include "ep/memo.h"
#include "ep/session.h"

namespace daybreak {

// What does not change from run to run of one node.
struct NodeFacts {
  Session* session = nullptr;
  const OpDef* row = nullptr;
  std::string name;
  NodeTag tag;
  int since = 0;
  Attrs attrs;
  std::vector<int> in_at, out_at;  // by input and output: ORT's index, -1 where absent; empty: the same index
  std::vector<bool> host_in;       // by input: read on the CPU
  std::vector<bool> host_out;      // by output: written on the CPU
  bool mirror = false;             // and those are brought to the device afterwards
  std::vector<DType> out_types;    // by output; kUndefined where the model omits the output
  std::map<size_t, Tensor> packed;  // what prepacking made, by input
  Memo memo;
};

// What plans over a context and over a weight have in common.
class DevicePlan : public Plan {
 public:
  explicit DevicePlan(NodeFacts& node) : node_(node), device_(*node.session->device) {}
  DevicePlan(const DevicePlan&) = delete;
  DevicePlan& operator=(const DevicePlan&) = delete;
  ~DevicePlan() override;

  const Tensor* Scratch(DType type, const Shape& shape) override;
  const Attrs& Attributes() override { return node_.attrs; }
  const DeviceInfo& Device() override { return device_.Info(); }
  Tuning* Tuned() override { return &node_.session->tuning; }
  int Since() override { return node_.since; }
  int64_t Option(std::string_view name) override { return node_.session->options.Int(name); }
  bool Capturing() override { return node_.session->run.recording != nullptr; }
  void Run(const Dispatch& dispatch) override;
  void Copy(const Tensor* from, const Tensor* to, size_t bytes, size_t from_offset,
            size_t to_offset) override;

 protected:
  // Puts CPU bytes into device memory; a recording does so at each replay.
  void Put(const void* from, void* to, size_t bytes);
  Tensor Allocate(DType type, const Shape& shape, MemoryKind kind);

  NodeFacts& node_;
  daybreak::Device& device_;
  Memo* memo_ = nullptr;  // receives what the plan does
  bool only_dispatches_ = true;

 private:
  std::array<Tensor, 6> scratch_;
  std::map<size_t, Tensor> more_scratch_;
  size_t scratch_count_ = 0;
};

// The plan of one call of Compute.
class RunPlan final : public DevicePlan {
 public:
  RunPlan(NodeFacts& node, OrtKernelContext* context) : DevicePlan(node), context_(context) {}

  const Tensor* In(size_t i) override;
  size_t InCount() override { return node_.host_in.size(); }
  const Tensor* Out(size_t i, const Shape& shape) override;
  size_t OutCount() override { return node_.out_types.size(); }
  const Tensor* Persistent(DType, const Shape&) override;
  const Tensor* Packed(size_t i) override;
  // Issues what an earlier plan of the node issued, if this one is given the same. Otherwise the plan has to
  // follow.
  bool Again();
  // Brings outputs that the row writes on the CPU to the device where the node mirrors them.
  void Finish();

 private:
  struct Entry {
    bool known = false, present = false;
    Tensor tensor;
  };
  // Entries by index; the first ones need no heap memory.
  template <size_t N>
  struct Entries {
    Entry& operator[](size_t i) { return i < N ? first[i] : more[i]; }
    std::array<Entry, N> first;
    std::map<size_t, Entry> more;
  };
  void Remember();
  bool ReadInput(size_t i, Tensor& tensor);
  void Place(Tensor& tensor, const void* data, size_t bytes, bool on_cpu);

  OrtKernelContext* context_;
  Entries<16> in_;
  Entries<4> out_;
  std::vector<std::vector<uint8_t>> fetched_;                    // inputs that had to come from the device
  std::vector<std::pair<std::vector<uint8_t>, void*>> mirrors_;  // CPU bytes of outputs, and where they go
};

// The plan of prepacking one weight: input `index` is the only one.
class PackPlan final : public DevicePlan {
 public:
  // `value` may lie on the CPU or on the device.
  PackPlan(NodeFacts& node, size_t index, const OrtValue* value);
  // Frees what Persistent made, but `kept`.
  ~PackPlan() override;

  const Tensor* In(size_t i) override { return i == index_ ? &weight_ : nullptr; }
  size_t InCount() override { return node_.host_in.size(); }
  const Tensor* Out(size_t, const Shape&) override;
  size_t OutCount() override { return 0; }
  const Tensor* Persistent(DType type, const Shape& shape) override;
  const Tensor* Packed(size_t) override { return nullptr; }
  void Keep(const Tensor* made) { kept_ = made; }

 private:
  size_t index_;
  Tensor weight_;
  std::map<size_t, Tensor> made_;
  const Tensor* kept_ = nullptr;
};

// Runs the row's plan; errors name the node.
void RunNode(NodeFacts& node, OrtKernelContext* context);

}  // namespace daybreak
