// Memory that the CPU and the GPU share on the way of a transfer: a few buffers, used again and again,
// however much is transferred. Guarded by the device's gate, which is open while bytes are copied and while
// the GPU is waited for; Take, Map and Return may be called by the encoder's thread beside it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/gate.h"

namespace daybreak {

class Staging {
 public:
  Staging(const Gpu& gpu, Gate& gate) : gpu_(gpu), gate_(gate) {}
  ~Staging();

  // Bytes of a buffer for uploads, of which there are at most kUploads.
  static constexpr uint64_t kChunk = 8 << 20;
  static constexpr size_t kUploads = 4;

  // Submits copies of `data` to `to`, and returns when all of it has been read; the GPU may still be copying.
  // Offset and size are multiples of 4.
  void Upload(WGPUBuffer to, uint64_t offset, const uint8_t* data, size_t bytes);

 private:
  struct Mapping {
    std::string error;
    std::atomic<bool> done = true;
  };

 public:
  // A buffer that the GPU writes and the CPU reads. From Take to Fetch or Return it is the caller's alone.
  struct Readback {
    BufferHandle buffer;
    uint64_t bytes = 0;
    std::unique_ptr<Mapping> mapping;  // once it is asked for
    WGPUFuture future{};
  };
  Readback Take(uint64_t bytes);
  // Asks for the first bytes as soon as the GPU is done with what is submitted.
  void Map(Readback& readback, size_t bytes);
  // Waits for a Readback that is mapped, or on its way to it, copies the first bytes out, and takes it back.
  void Fetch(Readback readback, void* data, size_t bytes);
  // Takes it back, mapped or not.
  void Return(Readback readback);

  // Drops what is not in use.
  void Trim();

 private:
  struct Slot {
    BufferHandle buffer;
    Mapping mapping;  // of the buffer for writing; done at the start
    WGPUFuture future{};
    bool taken = false;
  };
  Slot& TakeSlot();
  void SubmitCopy(Slot& slot, WGPUBuffer to, uint64_t offset, size_t bytes);
  WGPUFuture MapBuffer(WGPUBuffer buffer, WGPUMapMode mode, size_t bytes, Mapping& mapping);
  void Keep(Readback readback);

  const Gpu& gpu_;
  Gate& gate_;
  std::vector<std::unique_ptr<Slot>> slots_;  // the one that was used longest ago first
  std::mutex readbacks_mutex_;
  std::vector<Readback> readbacks_;  // idle; guarded by readbacks_mutex_
};

}  // namespace daybreak
