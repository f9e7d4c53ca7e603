// The lock of a device, and waiting for the GPU without keeping the other threads out.
#pragma once

#include <atomic>
#include <mutex>

#include "gpu/api.h"

namespace daybreak {

using Gate = std::mutex;

// The gate is open for the life of this object, which a holder of the lock makes for work that touches
// nothing shared.
class OpenGate {
 public:
  explicit OpenGate(Gate& gate) : gate_(gate) { gate_.unlock(); }
  ~OpenGate() { gate_.lock(); }
  OpenGate(const OpenGate&) = delete;

 private:
  Gate& gate_;
};

// Blocks until `done`, which the future's callback sets. The caller holds the gate, and what it guards is
// whole: other threads work on the device meanwhile.
void WaitAtGate(const Gpu& gpu, Gate& gate, WGPUFuture future, const std::atomic<bool>& done);

}  // namespace daybreak
