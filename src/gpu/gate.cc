#include "gpu/gate.h"

#include <chrono>
#include <thread>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint64_t kSliceNs = 200'000;
constexpr auto kPoll = std::chrono::microseconds(50);

}  // namespace

// Dawn must not be entered by two threads at a time, waiting included. A thread that is alone waits in long
// slices, as exactly as in one; once another has come to the gate, it only looks in now and then.
void WaitAtGate(const Gpu& gpu, Gate& gate, WGPUFuture future, const std::atomic<bool>& done) {
  if (!gpu.dawn) {
    const OpenGate open(gate);
    return gpu.Wait(future, done);
  }
  bool alone = true;
  while (!done) {
    alone = alone && !gate.Wanted();
    if (!alone) {
      const OpenGate open(gate);
      std::this_thread::sleep_for(kPoll);
    }
    WGPUFutureWaitInfo info{future, WGPU_FALSE};
    const WGPUWaitStatus status = wgpu.InstanceWaitAny(gpu.instance, 1, &info, alone ? kSliceNs : 0);
    Check(status == WGPUWaitStatus_Success || status == WGPUWaitStatus_TimedOut,
          "Waiting for the GPU failed (WGPUWaitStatus ", status, ").");
  }
}

}  // namespace daybreak
