#include "gpu/api.h"

#include <span>

#include "core/error.h"

namespace daybreak {

WgpuFunctions wgpu;

void Gpu::Wait(WGPUFuture future, const std::atomic<bool>& done) const {
  if (!dawn) {
    while (!done) wgpu.DevicePoll(device.get(), WGPU_TRUE, nullptr);
    return;
  }
  WGPUFutureWaitInfo info{future, WGPU_FALSE};
  const WGPUWaitStatus status = wgpu.InstanceWaitAny(instance, 1, &info, UINT64_MAX);
  Check(status == WGPUWaitStatus_Success, "Waiting for the GPU failed (WGPUWaitStatus ", status, ").");
}

namespace {

// wgpu-native knows no internal scope; it reports such errors as validation errors.
std::span<const WGPUErrorFilter> FiltersOf(const Gpu& gpu) {
  static constexpr WGPUErrorFilter kFilters[] = {WGPUErrorFilter_OutOfMemory, WGPUErrorFilter_Validation,
                                                 WGPUErrorFilter_Internal};
  return std::span(kFilters).first(gpu.dawn ? 3 : 2);
}

}  // namespace

ErrorScope::ErrorScope(const Gpu& gpu) : gpu_(gpu) {
  for (const WGPUErrorFilter filter : FiltersOf(gpu)) wgpu.DevicePushErrorScope(gpu.device.get(), filter);
}

std::string ErrorScope::Close() {
  struct Result {
    std::string text;
    std::atomic<bool> done = false;
  };
  std::string text;
  for (size_t scope = 0; scope < FiltersOf(gpu_).size(); ++scope) {
    Result result;
    const WGPUPopErrorScopeCallbackInfo info{
        nullptr, WGPUCallbackMode_AllowSpontaneous,
        [](WGPUPopErrorScopeStatus status, WGPUErrorType type, WGPUStringView message, void* user, void*) {
          auto* out = static_cast<Result*>(user);
          if (status != WGPUPopErrorScopeStatus_Success)
            out->text = "The device was lost.";
          else if (type != WGPUErrorType_NoError)
            out->text = ToString(message);
          out->done = true;
        },
        &result, nullptr};
    const WGPUFuture future = wgpu.DevicePopErrorScope(gpu_.device.get(), info);
    if (!result.done) gpu_.Wait(future, result.done);
    if (text.empty()) text = result.text;
  }
  return text;
}

}  // namespace daybreak
