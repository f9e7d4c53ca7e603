// One adapter as ONNX Runtime sees it: its memory, and the device that all sessions on it share.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "ep/api.h"
#include "gpu/device.h"

namespace daybreak {

// Vendor of the memory when the EP carries ORT's own name for WebGPU: programs look for it under 0.
inline constexpr uint32_t kSharedVendor = 0;
// Vendor of the memory under Daybreak's own name, so that ORT tells it from the memory of another WebGPU EP.
inline constexpr uint32_t kOwnVendor = 0xDA;

class Slot {
 public:
  Slot(WebGpu& gpu, const Adapter& adapter, uint32_t memory_vendor);

  const Adapter& adapter() const { return adapter_; }
  // Device memory, and the same for initialisers. The memory's device id is the adapter's index.
  const OrtMemoryInfo* memory() const { return memory_.get(); }
  const OrtMemoryInfo* read_only_memory() const { return read_only_.get(); }
  // True for memory of this slot.
  bool Has(const OrtMemoryDevice* device) const;

  // The device for a session; opened with `options` unless it is in use already (a warning tells when that
  // matters). Each call needs a CloseSession().
  std::shared_ptr<Device> OpenSession(const DeviceOptions& options, const OrtLogger* logger);
  void CloseSession() noexcept;
  // The open device, or a new one with the initial options, for memory outside of sessions.
  std::shared_ptr<Device> Any();
  // The open device, or nullptr.
  std::shared_ptr<Device> Current() const;

 private:
  WebGpu& gpu_;
  Adapter adapter_;
  Own<OrtMemoryInfo> memory_, read_only_;
  mutable std::mutex mutex_;
  std::shared_ptr<Device> device_;
  size_t sessions_ = 0;
};

using Slots = std::vector<std::shared_ptr<Slot>>;

// The slot that owns this memory, or nullptr.
Slot* FindSlot(const Slots& slots, const OrtMemoryDevice* device);

}  // namespace daybreak
