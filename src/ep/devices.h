// The OrtEpDevices: one for each adapter.
#pragma once

#include <span>

#include "ep/slot.h"

namespace daybreak {

// Makes OrtEpDevices on ORT's hardware devices where vendor and device ids match an adapter, and on own
// hardware devices (appended to `own`, which must outlive the OrtEpDevices) for the other adapters. At most
// `room` devices.
std::vector<OrtEpDevice*> MakeDevices(OrtEpFactory* factory, const WebGpu& gpu, const Slots& slots,
                                      std::span<const OrtHardwareDevice* const> hardware, size_t room,
                                      std::vector<Own<OrtHardwareDevice>>& own);

// The slot that the metadata of an OrtEpDevice names.
std::shared_ptr<Slot> SlotOf(const Slots& slots, const OrtKeyValuePairs* metadata);

}  // namespace daybreak
