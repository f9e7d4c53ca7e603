// Counts what a thread submits.
#pragma once

#include "gpu/api.h"

namespace daybreak {

class SubmitSpy {
 public:
  SubmitSpy() {
    original_ = wgpu.QueueSubmit;
    wgpu.QueueSubmit = [](WGPUQueue queue, size_t count, const WGPUCommandBuffer* commands) {
      ++count_;
      original_(queue, count, commands);
    };
  }
  ~SubmitSpy() { wgpu.QueueSubmit = original_; }
  SubmitSpy(const SubmitSpy&) = delete;

  // Submits of the calling thread since the last call.
  static int Take() { return std::exchange(count_, 0); }

 private:
  static inline WGPUProcQueueSubmit original_;
  static inline thread_local int count_ = 0;
};

}  // namespace daybreak
