#include "gpu/gate.h"

#include <chrono>
#include <thread>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint64_t kSliceNs = 200'000;
constexpr auto kPoll = std::chrono::microseconds(50);

}  // namespace

// Calls on a device exclude each other in Dawn (but for making modules and pipelines), and wgpu-native keeps
// other threads out while it waits: a thread that waits must not keep those that work. With Dawn one that is
// alone waits in long slices, as exactly as in one; once another has come to the gate, and always with
// wgpu-native, it only looks in now and then.
void WaitAtGate(const Gpu& gpu, Gate& gate, WGPUFuture future, const std::atomic<bool>& done) {
  bool alone = gpu.dawn;
  while (!done) {
    alone = alone && !gate.Wanted();
    if (!gpu.dawn) {
      wgpu.DevicePoll(gpu.device.get(), WGPU_FALSE, nullptr);
    } else {
      WGPUFutureWaitInfo info{future, WGPU_FALSE};
      const WGPUWaitStatus status = wgpu.InstanceWaitAny(gpu.instance, 1, &info, alone ? kSliceNs : 0);
      Check(status == WGPUWaitStatus_Success || status == WGPUWaitStatus_TimedOut,
            "Waiting for the GPU failed (WGPUWaitStatus ", status, ").");
    }
    if (alone || done) continue;
    const OpenGate open(gate);
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace daybreak
