#include "ep/slot.h"

namespace daybreak {
namespace {

Own<OrtMemoryInfo> MakeMemory(uint32_t vendor, size_t index, OrtAllocatorType type) {
  return Make<OrtMemoryInfo>(api.ort->CreateMemoryInfo_V2, "WebGPU_Buf", OrtMemoryInfoDeviceType_GPU, vendor,
                             static_cast<int32_t>(index), OrtDeviceMemoryType_DEFAULT, size_t{0}, type);
}

// Options that change what a session sees, and not only its speed.
std::string Difference(const DeviceOptions& have, const DeviceOptions& want) {
  if (have.validation != want.validation) return "validationMode";
  if (have.robustness != want.robustness) return "enableRobustness";
  if (have.max_pending_dispatches != want.max_pending_dispatches) return "maxNumPendingDispatches";
  if (have.max_binding != want.max_binding && want.max_binding != 0) return "maxStorageBufferBindingSize";
  if (have.memory_limit != want.memory_limit) return "gpuMemoryLimit";
  if (have.cache_dir != want.cache_dir) return "cacheDir";
  return "";
}

// No session and no value is on the device.
bool IsIdle(const std::shared_ptr<Device>& device) {
  const MemoryStats stats = device->Memory();
  const auto in_use = [&](MemoryKind kind) { return stats.in_use[static_cast<size_t>(kind)]; };
  return device.use_count() == 1 && in_use(MemoryKind::kTensor) == 0 && in_use(MemoryKind::kScratch) == 0;
}

}  // namespace

Slot::Slot(WebGpu& gpu, const Adapter& adapter, uint32_t memory_vendor)
    : gpu_(gpu),
      adapter_(adapter),
      memory_(MakeMemory(memory_vendor, adapter.index, OrtDeviceAllocator)),
      read_only_(MakeMemory(memory_vendor, adapter.index, OrtReadOnlyAllocator)) {}

bool Slot::Has(const OrtMemoryDevice* device) const {
  return api.ep->MemoryDevice_AreEqual(device, api.ep->MemoryInfo_GetMemoryDevice(memory_.get()));
}

std::shared_ptr<Device> Slot::OpenSession(const DeviceOptions& options, const OrtLogger* logger) {
  std::lock_guard lock(mutex_);
  if (device_ && sessions_ == 0 && !Difference(device_->Options(), options).empty() && IsIdle(device_))
    device_.reset();
  device_ = gpu_.Open(adapter_.index, options);
  if (const std::string key = Difference(device_->Options(), options); !key.empty())
    Log(logger, ORT_LOGGING_LEVEL_WARNING,
        Join("Option ", key, " has no effect: the device is in use with another value."));
  ++sessions_;
  return device_;
}

void Slot::CloseSession() noexcept {
  std::lock_guard lock(mutex_);
  if (--sessions_ > 0 || !device_) return;
  try {
    device_->Trim(0);
  } catch (const std::exception&) {  // A lost device has nothing to trim.
  }
}

std::shared_ptr<Device> Slot::Any() {
  std::lock_guard lock(mutex_);
  device_ = gpu_.Open(adapter_.index, device_ ? device_->Options() : DeviceOptions{});
  return device_;
}

std::shared_ptr<Device> Slot::Current() const {
  std::lock_guard lock(mutex_);
  return device_;
}

Slot* FindSlot(const Slots& slots, const OrtMemoryDevice* device) {
  for (const auto& slot : slots)
    if (slot->Has(device)) return slot.get();
  return nullptr;
}

}  // namespace daybreak
