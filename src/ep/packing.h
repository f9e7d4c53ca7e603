// Constants in the order in which kernels read them (core/packing.h).
//
// A weight that only kernels of packed order read is permuted where it lies: a copy would double what weights
// take, and prepacking by ONNX Runtime does not reach compiled nodes. What others read too is copied once a
// session, and what is no constant at each run.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "core/op.h"
#include "ep/cpu_preferred.h"
#include "gpu/device.h"

namespace daybreak {

// How a value comes into packed order.
enum class Hold : uint8_t { kEachRun, kCopied, kInPlace };

// An input of a node.
struct PackedValue {
  std::string name;
  PackedOrder order;  // no columns: the kernel reads the input as it is
  bool follows = false, constant = false;
  const void* given = nullptr;  // the constant's memory that the last run met
  void* packed = nullptr;       // and where it is in packed order; the same: in place
};

// The packed inputs of a node with these inputs, by input.
std::vector<PackedValue> PackedValuesOf(const OpDef& row, const Attrs& attrs, std::span<const ValueInfo> in,
                                        const std::vector<std::string>& names);

// What a session has put into packed order. Runs may call it from several threads.
class Packing {
 public:
  Packing() = default;
  Packing(const Packing&) = delete;
  Packing& operator=(const Packing&) = delete;

  // Decides for what the nodes of a graph read. A name that several graphs have is held as all of them allow.
  void Decide(const std::vector<Candidate>& nodes);
  Hold HoldOf(const PackedValue& value) const;
  // False when a constant of this name is permuted into another order.
  bool Agrees(const std::string& name, const PackedOrder& order) const;

  // The address of the constant `weight` in packed order, which is made at the first call: outside of a
  // recording that the thread makes, in front of what it records or issues next. nullptr when nothing has to
  // be packed for a value that follows.
  void* At(Device& device, const PackedValue& value, const Tensor& weight);
  void Release(Device& device) noexcept;

 private:
  struct Decision {
    PackedOrder order;
    Hold hold;
  };
  std::map<std::string, Decision> decisions_;
  std::mutex mutex_;
  std::set<const void*> in_place_;
  std::map<std::tuple<const void*, uint32_t, uint32_t>, void*> copies_;  // by address, columns and bytes
};

}  // namespace daybreak
