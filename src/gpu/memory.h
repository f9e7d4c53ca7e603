// GPU buffers behind CPU-shaped addresses, and the pool that reuses them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "gpu/api.h"
#include "gpu/device.h"

namespace daybreak {

// One WebGPU buffer with its place in the reserved address range.
struct Buffer {
  BufferHandle handle;
  uint64_t id = 0;         // never used again for another buffer
  uint64_t capacity = 0;   // bytes of the WebGPU buffer, a multiple of 256
  uint64_t requested = 0;  // bytes asked for by the current owner
  char* address = nullptr;
  MemoryKind kind = MemoryKind::kTensor;
  const void* pool = nullptr;  // the free list that it goes back to (a recording's own while one is made)
};

struct BufferSlice {
  Buffer* buffer = nullptr;
  uint64_t offset = 0;
};

// A range of addresses that no CPU access may touch, handed out in steps of 64 KiB. Resolve is constant-time
// and takes no lock: an address that is in use maps to one buffer for as long as that buffer exists.
class AddressSpace {
 public:
  AddressSpace();
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;

  void Place(Buffer& buffer);
  void Remove(Buffer& buffer);
  bool Contains(const void* address) const;
  // Errors when the address belongs to no buffer.
  BufferSlice Resolve(const void* address) const;

 private:
  char* base_ = nullptr;
  Buffer** owner_ = nullptr;                // by 64 KiB step
  uint64_t next_ = 0;                       // first step that was never used
  std::multimap<uint64_t, uint64_t> free_;  // steps -> first step
};

// Buffers in use and free ones by size class. Not thread-safe: the device's lock guards it.
class BufferPool {
 public:
  // `destroyed` is told of every buffer before it goes.
  BufferPool(const Gpu& gpu, uint64_t limit, uint64_t max_buffer,
             std::function<void(const Buffer&)> destroyed);
  ~BufferPool();

  // `owner` names a free list of its own (a recording); nullptr is the common one.
  Buffer& Take(uint64_t bytes, MemoryKind kind, const void* owner);
  void Give(Buffer& buffer) noexcept;
  // Moves what the list `owner` holds, in use or free, to the common one.
  void Disown(const void* owner);
  void Trim(uint64_t keep_bytes);
  MemoryStats Stats() const;
  // Buffers that were destroyed so far.
  uint64_t Destroyed() const { return destroyed_count_; }
  const AddressSpace& Addresses() const { return addresses_; }

 private:
  using FreeLists = std::map<uint64_t, std::vector<Buffer*>>;  // by capacity
  // Lists end with the oldest buffer, which is taken first: equal runs meet equal buffers, whatever the order
  // in which they were given back, and with them bind groups that exist.
  static void Keep(std::vector<Buffer*>& list, Buffer& buffer);
  Buffer& Create(uint64_t capacity);
  void Destroy(Buffer* buffer);
  uint64_t FreeBytesBound() const;

  const Gpu& gpu_;
  const uint64_t limit_, max_buffer_;
  const std::function<void(const Buffer&)> destroyed_;
  AddressSpace addresses_;
  std::unordered_map<const Buffer*, std::unique_ptr<Buffer>> all_;
  std::unordered_map<const void*, FreeLists> free_;
  MemoryStats stats_;
  uint64_t free_bytes_ = 0;   // of the common list
  uint64_t tensor_peak_ = 0;  // most bytes in use that are not weights
  uint64_t next_id_ = 1;
  uint64_t destroyed_count_ = 0;
};

}  // namespace daybreak
