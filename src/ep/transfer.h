// Copies between the CPU and the devices, and on a device.
#pragma once

#include "ep/slot.h"

namespace daybreak {

// ORT releases it.
OrtDataTransferImpl* MakeTransfer(const Slots& slots);

}  // namespace daybreak
