#include "ep/allocator.h"

namespace daybreak {
namespace {

thread_local std::string allocation_error;

struct Allocator : OrtAllocator, Home {
  Allocator(std::shared_ptr<Slot> slot, const OrtMemoryInfo* info, std::shared_ptr<Device> device)
      : OrtAllocator{}, slot_(std::move(slot)), info_(info), device_(std::move(device)) {
    OrtAllocatorType type = OrtDeviceAllocator;
    Ok(api.ort->MemoryInfoGetType(info, &type));
    kind_ = type == OrtReadOnlyAllocator ? MemoryKind::kWeight : MemoryKind::kTensor;
    version = kOrtApi;
    Alloc = [](OrtAllocator* self, size_t size) {
      Allocator& allocator = Of(self);
      return allocator.Allocate(size, allocator.kind_);
    };
    Reserve = [](OrtAllocator* self, size_t size) { return Of(self).Allocate(size, MemoryKind::kWeight); };
    Free = [](OrtAllocator* self, void* address) { Of(self).Release(address); };
    Info = [](const OrtAllocator* self) { return Enter<const Allocator>(self).info_; };
    GetStats = [](const OrtAllocator* self, OrtKeyValuePairs** out) noexcept {
      return Guard([&] { *out = Enter<const Allocator>(self).Stats().release(); });
    };
    Shrink = [](OrtAllocator* self) noexcept {
      return Guard([&] {
        if (const auto device = Of(self).Device_()) device->Trim(0);
      });
    };
  }

  static Allocator& Of(OrtAllocator* self) { return Enter<Allocator>(self); }

  std::shared_ptr<Device> Device_() const { return device_ ? device_ : slot_->Current(); }

  void* Allocate(size_t size, MemoryKind kind) noexcept {
    try {
      return device_ ? device_->Alloc(size, kind) : slot_->Any()->Alloc(size, kind);
    } catch (const std::exception& e) {
      allocation_error = e.what();
      return nullptr;
    }
  }

  // Memory of a device that was lost and replaced went with it.
  void Release(void* address) noexcept {
    if (address == nullptr) return;
    if (device_) return device_->Free(address);
    if (const auto device = slot_->Current(); device && device->Owns(address)) device->Free(address);
  }

  Own<OrtKeyValuePairs> Stats() const {
    MemoryStats stats;
    uint64_t limit = 0;
    if (const auto device = Device_()) {
      stats = device->Memory();
      limit = device->Options().memory_limit;
    }
    const auto in_use = [&](MemoryKind kind) { return stats.in_use[static_cast<size_t>(kind)]; };
    const uint64_t tensors = in_use(MemoryKind::kTensor), weights = in_use(MemoryKind::kWeight);
    const uint64_t scratch = in_use(MemoryKind::kScratch);
    return MakePairs({{"Limit", std::to_string(limit)},
                      {"InUse", std::to_string(tensors + weights + scratch)},
                      {"MaxInUse", std::to_string(stats.peak)},
                      {"TotalAllocated", std::to_string(stats.reserved)},
                      {"NumAllocs", std::to_string(stats.allocations)},
                      {"InUseTensors", std::to_string(tensors)},
                      {"InUseWeights", std::to_string(weights)},
                      {"InUseScratch", std::to_string(scratch)}});
  }

  std::shared_ptr<Slot> slot_;
  const OrtMemoryInfo* info_;
  std::shared_ptr<Device> device_;
  MemoryKind kind_;
};

}  // namespace

OrtAllocator* MakeAllocator(std::shared_ptr<Slot> slot, const OrtMemoryInfo* info,
                            std::shared_ptr<Device> device) {
  return new Allocator(std::move(slot), info, std::move(device));
}

void DeleteAllocator(OrtAllocator* allocator) noexcept { delete &Enter<Allocator>(allocator); }

const std::string& AllocationError() { return allocation_error; }

}  // namespace daybreak
