#include "gpu/gate.h"

#include <chrono>
#include <thread>

#include "core/error.h"

namespace daybreak {
namespace {

// NVIDIA's driver notices the end of a long wait 0.2 to 0.3 ms late, of short ones at once.
constexpr uint64_t kSliceNs = 200'000;
constexpr auto kPoll = std::chrono::microseconds(50);

}  // namespace

void WaitAtGate(const Gpu& gpu, Gate& gate, WGPUFuture future, const std::atomic<bool>& done) {
  // wgpu-native keeps other threads out while it waits, so it is only asked now and then.
  while (!gpu.dawn && !done) {
    wgpu.DevicePoll(gpu.device.get(), WGPU_FALSE, nullptr);
    if (done) return;
    const OpenGate open(gate);
    std::this_thread::sleep_for(kPoll);
  }
  if (done) return;
  const OpenGate open(gate);
  while (!done) {
    WGPUFutureWaitInfo info{future, WGPU_FALSE};
    const WGPUWaitStatus status = wgpu.InstanceWaitAny(gpu.instance, 1, &info, kSliceNs);
    Check(status == WGPUWaitStatus_Success || status == WGPUWaitStatus_TimedOut,
          "Waiting for the GPU failed (WGPUWaitStatus ", status, ").");
  }
}

}  // namespace daybreak
