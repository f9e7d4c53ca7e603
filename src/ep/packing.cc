#include "ep/packing.h"

#include <algorithm>

#include "ep/aside.h"
#include "ep/uses.h"
#include "ops/nbits_pack.h"

namespace daybreak {
namespace {

// Memory that permuting a weight takes at a time, unless one group of columns needs more. The same for all,
// so that one buffer serves them.
constexpr uint64_t kScratchBytes = 4 << 20;

constexpr NodeTag kTag{"", "pack"};

// How the nodes of a graph read one value.
struct Reads {
  size_t count = 0;
  bool constant = false;
  bool agree = true;    // all in one order
  bool wanted = false;  // one of them in no other
  PackedOrder order;

  void Add(const PackedInput* input) {
    ++count;
    if (input == nullptr) {
      agree = false;
      return;
    }
    wanted = wanted || !input->follows;
    if (order.columns == 0) order = input->order;
    agree = agree && order == input->order;
  }
};

// Permutes the bytes of `weight`.
void PackInPlace(Device& device, const PackedOrder& order, const Tensor& weight) {
  const uint64_t column = uint64_t{order.rows} * order.bytes, group = column * kPackedGroup;
  const uint64_t most = std::min(kScratchBytes, device.Info().segment_bytes());  // one binding
  const auto step = static_cast<uint32_t>(
      std::min<uint64_t>(std::max<uint64_t>(most / group, 1) * kPackedGroup, order.columns));
  void* scratch = device.Alloc(std::max(kScratchBytes, step * column), MemoryKind::kScratch);
  for (uint32_t first = 0; first < order.columns; first += step) {
    const uint32_t end = std::min(first + step, order.columns);
    const uint64_t bytes = (end - first) * column;
    const Tensor part{.type = DType::kU8, .shape = {static_cast<int64_t>(bytes)}, .device = {scratch, bytes}};
    device.Issue(PackColumns(&weight, &part, order, first, end), kTag);
    device.Copy(scratch, static_cast<char*>(weight.device.address) + first * column, bytes);
  }
  device.Free(scratch);
}

}  // namespace

std::vector<PackedValue> PackedValuesOf(const OpDef& row, const Attrs& attrs, std::span<const ValueInfo> in,
                                        const std::vector<std::string>& names) {
  std::vector<PackedValue> values(in.size());
  if (row.packed == nullptr) return values;
  for (const PackedInput& input : row.packed(attrs, in))
    values[input.input] = {names[input.input], input.order, input.follows, in[input.input].constant};
  return values;
}

void Packing::Decide(const std::vector<Candidate>& nodes) {
  std::map<Value, Reads> values;
  for (const Candidate& node : nodes) {
    const NodeView& view = node.node.view;
    PackedInputs packed;
    if (node.row != nullptr && node.row->packed != nullptr) packed = node.row->packed(view.attrs, view.in);
    for (size_t i = 0; i < node.node.in.size(); ++i) {
      if (node.node.in[i] == nullptr) continue;
      const auto* input = std::find_if(packed.begin(), packed.end(), [&](auto& p) { return p.input == i; });
      Reads& reads = values[node.node.in[i]];
      reads.Add(input == packed.end() ? nullptr : input);
      reads.constant = view.in[i].constant;
    }
  }
  for (const auto& [value, reads] : values) {
    if (!reads.wanted) continue;
    const bool in_place = reads.constant && reads.agree && HasReadersOnly(value, reads.count) &&
                          !Get<bool>(api.ort->ValueInfo_IsFromOuterScope, value);
    const Hold hold = in_place ? Hold::kInPlace : reads.constant ? Hold::kCopied : Hold::kEachRun;
    const auto [at, added] = decisions_.try_emplace(NameOf(value), Decision{reads.order, hold});
    if (added) continue;
    at->second.hold =
        std::min({at->second.hold, hold, at->second.order == reads.order ? hold : Hold::kCopied});
  }
}

Hold Packing::HoldOf(const PackedValue& value) const {
  const auto found = decisions_.find(value.name);
  if (found == decisions_.end()) return value.constant ? Hold::kCopied : Hold::kEachRun;
  return found->second.hold;
}

bool Packing::Agrees(const std::string& name, const PackedOrder& order) const {
  const auto found = decisions_.find(name);
  return found == decisions_.end() || found->second.hold != Hold::kInPlace || found->second.order == order;
}

void* Packing::At(Device& device, const PackedValue& value, const Tensor& weight) {
  void* address = weight.device.address;
  const PackedOrder& order = value.order;
  // What the caller has brought to the device belongs to the caller.
  const bool in_place = HoldOf(value) == Hold::kInPlace && device.KindOf(address) == MemoryKind::kWeight;
  if (value.follows && !in_place) return nullptr;
  std::lock_guard lock(mutex_);
  if (in_place) {
    if (in_place_.contains(address)) return address;
    const Aside aside(device);
    PackInPlace(device, order, weight);
    in_place_.insert(address);
    return address;
  }
  void*& copy = copies_[{address, order.columns, order.bytes}];
  if (copy != nullptr) return copy;
  const Aside aside(device);
  Tensor packed = weight;
  packed.device.address = device.Alloc(weight.bytes(), MemoryKind::kWeight);
  device.Copy(address, packed.device.address, weight.bytes());
  PackInPlace(device, order, packed);
  return copy = packed.device.address;
}

void Packing::Release(Device& device) noexcept {
  for (const auto& [key, address] : copies_) device.Free(address);
  copies_.clear();
}

}  // namespace daybreak
