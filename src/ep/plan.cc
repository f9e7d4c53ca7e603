#include "ep/plan.h"

#include <cstring>

#include "ep/allocator.h"
#include "ops/nbits_pack.h"

namespace daybreak {
namespace {

// Type and shape of a tensor value, without heap memory.
void ReadHeader(const OrtValue* value, Tensor& tensor) {
  ONNXTensorElementDataType type;
  const int64_t* dims = nullptr;
  size_t rank = 0;
  Ok(api.ort->GetTensorElementTypeAndShapeDataReference(value, &type, &dims, &rank));
  Check(rank <= kMaxRank, "has rank ", rank, "; kernels take ranks up to ", kMaxRank, ".");
  tensor.type = FromOrt(type);
  for (size_t d = 0; d < rank; ++d) tensor.shape.push_back(dims[d]);
}

// ORT's index of the node's input or output i.
int At(const std::vector<int>& places, size_t i) { return places.empty() ? static_cast<int>(i) : places[i]; }

}  // namespace

RunPlan::~RunPlan() {
  for (size_t i = 0; i < scratch_count_; ++i)
    device_.Free((i < scratch_.size() ? scratch_[i] : more_scratch_[i]).device.address);
}

const Tensor* RunPlan::Scratch(DType type, const Shape& shape) {
  Tensor& slot = scratch_count_ < scratch_.size() ? scratch_[scratch_count_] : more_scratch_[scratch_count_];
  slot = {.type = type, .shape = shape};
  const size_t bytes = slot.bytes();
  slot.device = {device_.Alloc(bytes, MemoryKind::kScratch), bytes};
  ++scratch_count_;
  if (memo_ != nullptr) memo_->AddMade(true, 0, slot);
  return &slot;
}

void RunPlan::Run(const Dispatch& dispatch) {
  NodeTag tag = node_.tag;
  if (const ProblemScope* scope = ProblemScope::Current()) {
    tag.problem = scope->problem().c_str();
    tag.variant = scope->applied().c_str();
  }
  device_.Issue(dispatch, tag, memo_ ? &memo_->Commands() : nullptr);
}

void RunPlan::Copy(const Tensor* from, const Tensor* to, size_t bytes, size_t from_offset, size_t to_offset) {
  only_dispatches_ = false;
  if (bytes == 0) return;
  const size_t from_bytes = from->bytes(), to_bytes = to->bytes();
  Check(from_offset <= from_bytes && bytes <= from_bytes - from_offset && to_offset <= to_bytes &&
            bytes <= to_bytes - to_offset,
        "A copy of ", bytes, " bytes from offset ", from_offset, " of ", from_bytes, " to offset ", to_offset,
        " of ", to_bytes, " is out of range.");
  const auto at = [](auto* base, size_t offset) {
    return static_cast<char*>(const_cast<void*>(base)) + offset;
  };
  const bool from_cpu = from->host || from->host_out, to_cpu = to->host_out != nullptr;
  const void* source = from->host ? from->host : from->host_out ? from->host_out : from->device.address;
  void* target = to_cpu ? to->host_out : to->device.address;
  char* source_at = at(source, from_offset);
  char* target_at = at(static_cast<const void*>(target), to_offset);
  if (source_at == target_at) return;
  if (from_cpu && to_cpu)
    std::memmove(target_at, source_at, bytes);
  else if (from_cpu)
    Put(source_at, target_at, bytes);
  else if (to_cpu)
    device_.Download(source_at, target_at, bytes);
  else
    device_.Copy(source_at, target_at, bytes);
}

void RunPlan::Put(const void* from, void* to, size_t bytes) {
  only_dispatches_ = false;
  if (!Capturing()) return device_.Upload(from, to, bytes);
  // Kept as long as the recording: a replay copies from it.
  std::vector<void*>& constants = node_.session->constants;
  constants.push_back(device_.Alloc(bytes, MemoryKind::kScratch));
  device_.Upload(from, constants.back(), bytes);
  device_.Copy(constants.back(), to, bytes);
}

// ORT keeps a value in one place. One that a node takes twice, for the CPU and for the device, is in the
// wrong place once.
void RunPlan::Place(Tensor& tensor, const void* data, size_t bytes, bool on_cpu) {
  const bool on_device = bytes == 0 ? !on_cpu : device_.Owns(data);
  if (on_cpu && on_device) {
    only_dispatches_ = false;
    fetched_.emplace_back(bytes);
    device_.Download(data, fetched_.back().data(), bytes);
    data = fetched_.back().data();
  } else if (!on_cpu && !on_device) {
    void* copy = Scratch(tensor.type, tensor.shape)->device.address;
    Put(data, copy, bytes);
    data = copy;
  }
  if (on_cpu)
    tensor.host = data;
  else
    tensor.device = {const_cast<void*>(data), bytes};
}

bool RunPlan::Pack(PackedValue& value, Tensor& tensor, const void* data) {
  const PackedOrder& order = value.order;
  if (order.columns == 0) return false;
  Check(tensor.bytes() == order.size(), "has shape ", ToString(tensor.shape), " of ", NameOf(tensor.type),
        ", ", tensor.bytes(), " bytes; the node's attributes ask for ", order.size(), ".");
  if (tensor.bytes() == 0) return true;
  void*& address = tensor.device.address;
  const bool is_of_ort = address == data;
  if (is_of_ort && value.given == data) {
    address = value.packed;
    return true;
  }
  if (is_of_ort && node_.session->packing.HoldOf(value) != Hold::kEachRun) {
    void* packed = node_.session->packing.At(device_, value, tensor);
    if (packed == nullptr) return false;
    value.given = data;
    address = value.packed = packed;
    return true;
  }
  if (value.follows) return false;
  // What the memory holds may have changed: this is done again with every input that is read.
  Memo* memo = std::exchange(memo_, nullptr);
  const Tensor* packed = Scratch(tensor.type, tensor.shape);
  Run(PackColumns(&tensor, packed, order, 0, order.columns));
  memo_ = memo;
  tensor = *packed;
  return true;
}

bool RunPlan::ReadInput(size_t i, Entry& entry) {
  Tensor& tensor = entry.tensor;
  const int at = At(node_.in_at, i);
  const OrtValue* value = nullptr;
  if (at >= 0) Ok(api.ort->KernelContext_GetInput(context_, static_cast<size_t>(at), &value));
  if (value == nullptr) return false;
  try {
    ReadHeader(value, tensor);
    const void* data = Get<const void*>(api.ort->GetTensorData, value);
    const size_t bytes = tensor.bytes();
    Check(bytes == 0 || data != nullptr, "has no memory.");
    Place(tensor, data, bytes, node_.host_in[i]);
    if (i < node_.packed.size()) entry.packed = Pack(node_.packed[i], tensor, data);
  } catch (const std::exception& e) {
    Fail("Input ", i, " ", e.what());
  }
  return true;
}

const Tensor* RunPlan::In(size_t i) {
  if (i >= node_.host_in.size()) return nullptr;
  Entry& entry = in_[i];
  if (!entry.known) {
    entry.present = ReadInput(i, entry);
    entry.known = true;
  }
  return entry.present ? &entry.tensor : nullptr;
}

bool RunPlan::IsPacked(size_t i) { return In(i) != nullptr && in_[i].packed; }

const Tensor* RunPlan::Out(size_t i, const Shape& shape) {
  if (i >= node_.out_types.size() || node_.out_types[i] == DType::kUndefined) return nullptr;
  Entry& entry = out_[i];
  if (entry.known) {
    Check(entry.tensor.shape == shape, "Output ", i, " is asked for with two shapes.");
    return &entry.tensor;
  }
  OrtValue* value = nullptr;
  const auto at = static_cast<size_t>(At(node_.out_at, i));
  Ok(api.ort->KernelContext_GetOutput(context_, at, shape.data(), shape.size(), &value));
  Check(value != nullptr, "Output ", i, " is not there.");
  Tensor& tensor = entry.tensor;
  tensor.type = node_.out_types[i];
  tensor.shape = shape;
  void* data = Get<void*>(api.ort->GetTensorMutableData, value);
  const size_t bytes = tensor.bytes();
  Check(bytes == 0 || data != nullptr, "Output ", i, " (", bytes, " bytes) has no memory. ",
        AllocationError());
  if (!node_.host_out[i]) {
    tensor.device = {data, bytes};
  } else if (!node_.mirror) {
    tensor.host_out = data;
  } else {
    mirrors_.emplace_back(bytes, data);
    tensor.host_out = mirrors_.back().first.data();
  }
  entry.known = true;
  if (memo_ != nullptr) memo_->AddMade(false, i, tensor);
  return &tensor;
}

void CheckOrder(const NodeFacts& node, const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i)
    Check(
        node.session->packing.Agrees(names[i], i < node.packed.size() ? node.packed[i].order : PackedOrder{}),
        "Input ", i, " of ", node.row->name, " node '", node.name,
        "' is a weight that other nodes read in another order.");
}

void RunNode(NodeFacts& node, OrtKernelContext* context) {
  const auto where = [&] { return Join("While running ", node.row->name, " node '", node.name, "': "); };
  try {
    RunPlan plan(node, context);
    if (plan.Again()) return;
    node.row->plan(plan);
    plan.Finish();
  } catch (const OrtError& e) {
    throw OrtError(e.code, where() + e.what());
  } catch (const std::exception& e) {
    Fail(where(), e.what());
  }
}

bool RunPlan::Again() {
  const RunContext& run = node_.session->run;
  const Tuning& tuning = node_.session->tuning;
  if (run.recording || !run.timings.empty() || tuning.noting || !tuning.wanted.empty()) return false;
  Memo& memo = node_.memo;
  if (!memo.Worthwhile()) return false;
  bool same = memo.Known(), made = false;
  for (const Memo::Value& in : memo.In()) same = same && in.Is(In(in.index));
  same = same && only_dispatches_;
  for (const Memo::Value& value : memo.Made()) {
    if (!same) break;
    made = true;
    const Shape& shape = value.tensor.shape;
    same = value.Is(value.scratch ? Scratch(value.tensor.type, shape) : Out(value.index, shape));
  }
  if (same && device_.IssueAgain(memo.Commands())) {
    memo.Hit();
    return true;
  }
  memo.Begin();
  if (!made) memo_ = &memo;  // else the order is lost in which the plan makes its tensors
  return false;
}

void RunPlan::Remember() {
  if (!only_dispatches_ || !in_.more.empty() || !mirrors_.empty()) memo_->Spoil();
  for (size_t i = 0; i < in_.first.size(); ++i) {
    const Entry& entry = in_.first[i];
    if (entry.known) memo_->AddIn(i, entry.present ? &entry.tensor : nullptr);
  }
  memo_->End();
}

void RunPlan::Finish() {
  if (memo_ != nullptr) Remember();
  for (const auto& [bytes, target] : mirrors_)
    if (!bytes.empty()) Put(bytes.data(), target, bytes.size());
}

}  // namespace daybreak
