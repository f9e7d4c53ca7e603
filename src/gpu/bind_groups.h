// Bind groups by pipeline and buffers. Not thread-safe: the device's lock guards it.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "gpu/memory.h"
#include "gpu/pipelines.h"

namespace daybreak {

// One bound range of a buffer. Offsets are aligned to the device's binding alignment, sizes to 4 bytes.
struct BoundRange {
  const Buffer* buffer = nullptr;
  uint64_t offset = 0, bytes = 0;
};
using BoundRanges = FixedVec<BoundRange, 20>;

class BindGroups {
 public:
  explicit BindGroups(const Gpu& gpu) : gpu_(gpu) {}

  // The group stays valid until a buffer in it is destroyed or Get is called again; a holder adds a
  // reference. `uniform` is bound last when the pipeline takes its parameters from there.
  WGPUBindGroup Get(const Pipeline& pipeline, const BoundRanges& ranges, WGPUBuffer uniform);
  // Groups hold their buffers' memory: drops those of a buffer that is about to be destroyed, now or soon.
  void Forget(const Buffer& buffer);

 private:
  using Key = FixedVec<uint64_t, 64>;
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  void Sweep();

  const Gpu& gpu_;
  using Groups = std::unordered_map<Key, BindGroupHandle, Hash>;
  // Buffers meet in ever new combinations: when as many groups as a generation holds are in use, those that
  // were not asked for since the last such time go.
  Groups groups_, old_;
  std::unordered_set<uint64_t> dead_;  // ids of destroyed buffers whose groups are still here
  uint64_t dead_bytes_ = 0;
};

}  // namespace daybreak
