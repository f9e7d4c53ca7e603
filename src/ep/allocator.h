// Device memory for ONNX Runtime.
#pragma once

#include <memory>
#include <string>

#include "ep/slot.h"

namespace daybreak {

// With `device`, the memory of one session; without, the shared allocator of the environment, which uses
// whatever device is open on the slot. `info` is one of the slot's.
OrtAllocator* MakeAllocator(std::shared_ptr<Slot> slot, const OrtMemoryInfo* info,
                            std::shared_ptr<Device> device);

// Deletes what MakeAllocator made.
void DeleteAllocator(OrtAllocator* allocator) noexcept;

// Why the last allocation of this thread failed (ORT takes no reason for a null pointer), or "".
const std::string& AllocationError();

}  // namespace daybreak
