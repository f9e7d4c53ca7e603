// Plans over ONNX Runtime's kernel context.
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
  std::vector<PackedValue> packed;  // by input; may have fewer entries
  Memo memo;
};

// The plan of one call of Compute.
class RunPlan final : public Plan {
 public:
  RunPlan(NodeFacts& node, OrtKernelContext* context)
      : node_(node), device_(*node.session->device), context_(context) {}
  RunPlan(const RunPlan&) = delete;
  RunPlan& operator=(const RunPlan&) = delete;
  ~RunPlan() override;

  const Tensor* In(size_t i) override;
  size_t InCount() override { return node_.host_in.size(); }
  const Tensor* Out(size_t i, const Shape& shape) override;
  size_t OutCount() override { return node_.out_types.size(); }
  const Tensor* Scratch(DType type, const Shape& shape) override;
  const Tensor* State(size_t bytes) override { return node_.session->states.Of(device_, bytes); }
  bool IsPacked(size_t i) override;
  const Attrs& Attributes() override { return node_.attrs; }
  const DeviceInfo& Device() override { return device_.Info(); }
  Tuning* Tuned() override { return &node_.session->tuning; }
  int Since() override { return node_.since; }
  int64_t Option(std::string_view name) override { return node_.session->options.Int(name); }
  bool Capturing() override { return node_.session->run.recording != nullptr; }
  void Run(const Dispatch& dispatch) override;
  void Copy(const Tensor* from, const Tensor* to, size_t bytes, size_t from_offset,
            size_t to_offset) override;
  // Issues what an earlier plan of the node issued, if this one is given the same. Otherwise the plan has to
  // follow.
  bool Again();
  // Brings outputs that the row writes on the CPU to the device where the node mirrors them.
  void Finish();

 private:
  struct Entry {
    bool known = false, present = false, packed = false;
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
  bool ReadInput(size_t i, Entry& entry);
  void Place(Tensor& tensor, const void* data, size_t bytes, bool on_cpu);
  // Brings the tensor, which ORT keeps at `data`, into packed order; false where the value follows others
  // that do not ask for it.
  bool Pack(PackedValue& value, Tensor& tensor, const void* data);
  // Puts CPU bytes into device memory; a recording does so at each replay.
  void Put(const void* from, void* to, size_t bytes);

  NodeFacts& node_;
  daybreak::Device& device_;
  OrtKernelContext* context_;
  Memo* memo_ = nullptr;  // receives what the plan does
  bool only_dispatches_ = true;
  Entries<16> in_;
  Entries<4> out_;
  std::array<Tensor, 6> scratch_;
  std::map<size_t, Tensor> more_scratch_;
  size_t scratch_count_ = 0;
  std::vector<std::vector<uint8_t>> fetched_;                    // inputs that had to come from the device
  std::vector<std::pair<std::vector<uint8_t>, void*>> mirrors_;  // CPU bytes of outputs, and where they go
};

// Errors when the node reads a weight that others permute, in another order: ONNX Runtime has then put it
// into the graph after the weights were claimed.
void CheckOrder(const NodeFacts& node, const std::vector<std::string>& names);

// Runs the row's plan; errors name the node.
void RunNode(NodeFacts& node, OrtKernelContext* context);

}  // namespace daybreak
