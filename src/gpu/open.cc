#include "gpu/open.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "gpu/dawn.h"

namespace daybreak {
namespace {

std::vector<WGPUFeatureName> Features(const DeviceInfo& info, bool dawn) {
  std::vector<WGPUFeatureName> features;
  if (info.f16) features.push_back(WGPUFeatureName_ShaderF16);
  if (info.subgroups) features.push_back(dawn ? WGPUFeatureName_Subgroups : native::kSubgroup);
  if (info.timestamps) features.push_back(WGPUFeatureName_TimestampQuery);
  if (info.timestamps_in_pass) features.push_back(dawn::kTimestampsInsidePasses);
  if (!info.matrices.empty()) features.push_back(dawn::kSubgroupMatrix);
  if (dawn) features.push_back(dawn::kThreads);
  return features;
}

// With the environment variable DAYBREAK_MAX_BINDING=BYTES (a multiple of 256, for tests) tensors are bound
// in segments that are smaller than any device demands.
void LowerForTests(DeviceInfo& info) {
  static const char* bytes = std::getenv("DAYBREAK_MAX_BINDING");
  if (bytes != nullptr)
    info.max_binding = std::min<uint64_t>(info.max_binding, std::strtoull(bytes, nullptr, 10));
}

WGPULimits Limits(const OpenRequest& request, DeviceInfo& info) {
  WGPULimits limits{};
  wgpu.AdapterGetLimits(request.adapter, &limits);
  LowerForTests(info);
  if (request.options.max_binding != 0) {
    limits.maxStorageBufferBindingSize =
        std::min(limits.maxStorageBufferBindingSize, request.options.max_binding);
    info.max_binding = std::min(info.max_binding, limits.maxStorageBufferBindingSize);
  }
  return limits;
}

// Dawn's hooks for compiled pipelines.
dawn::Cache Blobs(const OpenRequest& request) {
  auto* disk = const_cast<DiskCache*>(&request.support.cache);
  return {{nullptr, dawn::kCacheType},
          Str(request.support.cache_key),
          {nullptr,
           [](size_t key_size, const void* key, size_t value_size, void* value, void* user, void*) {
             return static_cast<const DiskCache*>(user)->Load(key, key_size, value, value_size);
           },
           disk, nullptr},
          {nullptr,
           [](size_t key_size, const void* key, size_t value_size, const void* value, void* user, void*) {
             static_cast<const DiskCache*>(user)->Store(key, key_size, value, value_size);
           },
           disk, nullptr}};
}

void Listen(WGPUDeviceDescriptor& descriptor, DeviceHealth& health) {
  descriptor.deviceLostCallbackInfo = {
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPUDevice const*, WGPUDeviceLostReason reason, WGPUStringView message, void* user, void*) {
        if (reason == WGPUDeviceLostReason_Destroyed) return;
        static_cast<DeviceHealth*>(user)->Lose(ToString(message));
      },
      &health, nullptr};
  descriptor.uncapturedErrorCallbackInfo = {
      nullptr,
      [](WGPUDevice const*, WGPUErrorType, WGPUStringView message, void* user, void*) {
        static_cast<DeviceHealth*>(user)->Report(ToString(message));
      },
      &health, nullptr};
}

Gpu RequestDevice(const OpenRequest& request, const WGPUDeviceDescriptor& descriptor,
                  const DeviceInfo& info) {
  struct Result {
    WGPUDevice device = nullptr;
    std::string error;
    std::atomic<bool> done = false;
  } result;
  const WGPURequestDeviceCallbackInfo callback{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPURequestDeviceStatus status, WGPUDevice device, WGPUStringView message, void* user, void*) {
        auto* out = static_cast<Result*>(user);
        if (status == WGPURequestDeviceStatus_Success)
          out->device = device;
        else
          out->error = ToString(message);
        out->done = true;
      },
      &result, nullptr};
  Gpu gpu;
  gpu.instance = request.instance;
  gpu.dawn = request.dawn;
  const WGPUFuture future = wgpu.AdapterRequestDevice(request.adapter, &descriptor, callback);
  if (request.dawn) gpu.Wait(future, result.done);
  while (!result.done) wgpu.InstanceProcessEvents(request.instance);
  Check(result.device != nullptr, "Adapter ", info.name, " gave no device: ", result.error);
  gpu.device = DeviceHandle(result.device);
  gpu.queue = QueueHandle(wgpu.DeviceGetQueue(result.device));
  return gpu;
}

}  // namespace

Gpu OpenDevice(const OpenRequest& request, DeviceInfo& info) {
  const std::vector<WGPUFeatureName> features = Features(info, request.dawn);
  const WGPULimits limits = Limits(request, info);
  std::vector<const char*> on{"allow_unsafe_apis", "use_vulkan_memory_model", "vulkan_enable_f16_on_nvidia"};
  const std::vector<const char*> off{"timestamp_quantization", "lazy_clear_resource_on_first_use"};
  if (!request.options.validation) on.push_back("skip_validation");
  if (!request.options.robustness) on.push_back("disable_robustness");
  dawn::Toggles toggles{{nullptr, dawn::kTogglesType}, on.size(), on.data(), off.size(), off.data()};
  dawn::Cache blobs = Blobs(request);
  if (request.support.cache.Enabled()) toggles.chain.next = &blobs.chain;

  WGPUDeviceDescriptor descriptor{};
  descriptor.nextInChain = request.dawn ? &toggles.chain : nullptr;
  descriptor.label = Str("daybreak");
  descriptor.requiredFeatureCount = features.size();
  descriptor.requiredFeatures = features.data();
  descriptor.requiredLimits = &limits;
  Listen(descriptor, request.support.health);
  return RequestDevice(request, descriptor, info);
}

}  // namespace daybreak
