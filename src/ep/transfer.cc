#include "ep/transfer.h"

#include "ep/allocator.h"

namespace daybreak {
namespace {

struct Transfer : OrtDataTransferImpl, Home {
  explicit Transfer(const Slots& slots) : OrtDataTransferImpl{}, slots_(slots) {
    ort_version_supported = kOrtApi;
    Release = [](OrtDataTransferImpl* self) noexcept { delete &Enter<Transfer>(self); };
    CanCopy = [](const OrtDataTransferImpl* self, const OrtMemoryDevice* from,
                 const OrtMemoryDevice* to) noexcept { return Enter<const Transfer>(self).Takes(from, to); };
    CopyTensors = [](OrtDataTransferImpl* self, const OrtValue** from, OrtValue** to, OrtSyncStream**,
                     size_t count) noexcept {
      return Guard([&] {
        auto& transfer = Enter<Transfer>(self);
        for (size_t i = 0; i < count; ++i) transfer.CopyOne(from[i], to[i]);
      });
    };
  }

  static bool IsCpu(const OrtMemoryDevice* device) {
    return api.ep->MemoryDevice_GetDeviceType(device) == OrtMemoryInfoDeviceType_CPU;
  }

  bool Takes(const OrtMemoryDevice* from, const OrtMemoryDevice* to) const {
    const Slot* source = FindSlot(slots_, from);
    const Slot* target = FindSlot(slots_, to);
    return (source && (target || IsCpu(to))) || (target && IsCpu(from));
  }

  void CopyOne(const OrtValue* from, OrtValue* to) {
    const size_t bytes = Get<size_t>(api.ort->GetTensorSizeInBytes, from);
    const size_t room = Get<size_t>(api.ort->GetTensorSizeInBytes, to);
    Check(bytes == room, "A tensor of ", bytes, " bytes cannot be copied to one of ", room, " bytes.");
    if (bytes == 0) return;
    const void* source = Get<const void*>(api.ort->GetTensorData, from);
    void* target = Get<void*>(api.ort->GetTensorMutableData, to);
    Check(source != nullptr, "The source of a copy of ", bytes, " bytes has no memory.");
    Check(target != nullptr, "The target of a copy of ", bytes, " bytes has no memory. ", AllocationError());
    CopyBytes(source, FindSlot(slots_, api.ep->Value_GetMemoryDevice(from)), target,
              FindSlot(slots_, api.ep->Value_GetMemoryDevice(to)), bytes);
  }

  // A slot is null for the CPU.
  static void CopyBytes(const void* source, Slot* source_slot, void* target, Slot* target_slot,
                        size_t bytes) {
    if (source_slot == target_slot && source_slot != nullptr) {
      if (source != target) source_slot->Any()->Copy(source, target, bytes);
    } else if (source_slot == nullptr) {
      Check(target_slot != nullptr, "Neither side of a copy is on a device of this EP.");
      target_slot->Any()->Upload(source, target, bytes);
    } else if (target_slot == nullptr) {
      source_slot->Any()->Download(source, target, bytes);
    } else {
      std::vector<uint8_t> host(bytes);
      source_slot->Any()->Download(source, host.data(), bytes);
      target_slot->Any()->Upload(host.data(), target, bytes);
    }
  }

  Slots slots_;
};

}  // namespace

OrtDataTransferImpl* MakeTransfer(const Slots& slots) { return new Transfer(slots); }

}  // namespace daybreak
