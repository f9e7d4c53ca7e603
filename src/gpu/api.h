// The loaded WebGPU implementation as function pointers, and small helpers over webgpu.h. Only src/gpu
// includes this.
#pragma once

#define WGPU_SKIP_DECLARATIONS
#include <webgpu/webgpu.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

namespace daybreak {

// Every WebGPU function that Daybreak calls.
// clang-format off
#define DAYBREAK_WGPU_FUNCTIONS(X) \
  X(CreateInstance) X(InstanceRequestAdapter) X(InstanceWaitAny) X(InstanceProcessEvents) \
  X(InstanceRelease) X(AdapterGetInfo) X(AdapterGetLimits) X(AdapterHasFeature) \
  X(AdapterRequestDevice) X(AdapterInfoFreeMembers) X(AdapterRelease) X(DeviceCreateBuffer) \
  X(DeviceCreateShaderModule) X(DeviceCreateBindGroupLayout) X(DeviceCreatePipelineLayout) \
  X(DeviceCreateComputePipeline) X(DeviceCreateBindGroup) X(DeviceCreateCommandEncoder) \
  X(DeviceCreateQuerySet) X(DeviceGetQueue) X(DevicePushErrorScope) X(DevicePopErrorScope) \
  X(DeviceDestroy) X(DeviceRelease) X(BufferAddRef) X(BufferDestroy) X(BufferRelease) X(BufferMapAsync) \
  X(BufferGetConstMappedRange) X(BufferGetMappedRange) X(BufferUnmap) X(QueueSubmit) X(QueueWriteBuffer) \
  X(QueueOnSubmittedWorkDone) X(QueueRelease) X(CommandEncoderBeginComputePass) \
  X(CommandEncoderCopyBufferToBuffer) X(CommandEncoderResolveQuerySet) X(CommandEncoderFinish) \
  X(CommandEncoderRelease) X(CommandBufferRelease) X(ComputePassEncoderSetPipeline) \
  X(ComputePassEncoderSetBindGroup) X(ComputePassEncoderDispatchWorkgroups) \
  X(ComputePassEncoderDispatchWorkgroupsIndirect) X(ComputePassEncoderEnd) \
  X(ComputePassEncoderRelease) X(ComputePassEncoderSetImmediates) X(BindGroupRelease) \
  X(BindGroupAddRef) X(BindGroupLayoutRelease) X(PipelineLayoutRelease) X(ComputePipelineRelease) \
  X(ShaderModuleRelease) X(QuerySetRelease)
// clang-format on

struct WgpuFunctions {
#define X(name) WGPUProc##name name = nullptr;
  DAYBREAK_WGPU_FUNCTIONS(X)
#undef X
  // Not in webgpu.h: in-pass timestamps (both implementations, same signature), wgpu-native's poll and
  // enumeration.
  void (*ComputePassEncoderWriteTimestamp)(WGPUComputePassEncoder, WGPUQuerySet, uint32_t) = nullptr;
  WGPUBool (*DevicePoll)(WGPUDevice, WGPUBool wait, const uint64_t* submission) = nullptr;
  size_t (*InstanceEnumerateAdapters)(WGPUInstance, const void* options, WGPUAdapter* adapters) = nullptr;
};

// Filled once by WebGpu::Load.
extern WgpuFunctions wgpu;

inline WGPUStringView Str(std::string_view text) { return {text.data(), text.size()}; }
inline std::string ToString(WGPUStringView text) {
  if (text.data == nullptr) return "";
  return text.length == WGPU_STRLEN ? std::string(text.data) : std::string(text.data, text.length);
}

// An owned WebGPU object. `Release` is the member of `wgpu` that drops a reference.
template <class T, auto Release>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) : raw_(raw) {}
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Handle() {
    if (raw_ != nullptr) (wgpu.*Release)(raw_);
  }
  T get() const { return raw_; }
  explicit operator bool() const { return raw_ != nullptr; }

 private:
  T raw_ = nullptr;
};

using AdapterHandle = Handle<WGPUAdapter, &WgpuFunctions::AdapterRelease>;
using DeviceHandle = Handle<WGPUDevice, &WgpuFunctions::DeviceRelease>;
using QueueHandle = Handle<WGPUQueue, &WgpuFunctions::QueueRelease>;
using BufferHandle = Handle<WGPUBuffer, &WgpuFunctions::BufferRelease>;
using BindGroupHandle = Handle<WGPUBindGroup, &WgpuFunctions::BindGroupRelease>;
using BindGroupLayoutHandle = Handle<WGPUBindGroupLayout, &WgpuFunctions::BindGroupLayoutRelease>;
using PipelineLayoutHandle = Handle<WGPUPipelineLayout, &WgpuFunctions::PipelineLayoutRelease>;
using ComputePipelineHandle = Handle<WGPUComputePipeline, &WgpuFunctions::ComputePipelineRelease>;
using ShaderModuleHandle = Handle<WGPUShaderModule, &WgpuFunctions::ShaderModuleRelease>;
using CommandEncoderHandle = Handle<WGPUCommandEncoder, &WgpuFunctions::CommandEncoderRelease>;
using CommandBufferHandle = Handle<WGPUCommandBuffer, &WgpuFunctions::CommandBufferRelease>;
using ComputePassHandle = Handle<WGPUComputePassEncoder, &WgpuFunctions::ComputePassEncoderRelease>;
using QuerySetHandle = Handle<WGPUQuerySet, &WgpuFunctions::QuerySetRelease>;

// The open device and what is needed to wait on it.
struct Gpu {
  WGPUInstance instance = nullptr;  // lives as long as the process
  DeviceHandle device;
  QueueHandle queue;
  bool dawn = true;

  // Blocks until `done`, which the future's callback sets.
  void Wait(WGPUFuture future, const std::atomic<bool>& done) const;
};

// Opens a validation and an out-of-memory scope; Close ends them and returns the first error's text, or "".
class ErrorScope {
 public:
  explicit ErrorScope(const Gpu& gpu);
  std::string Close();

 private:
  const Gpu& gpu_;
};

}  // namespace daybreak
