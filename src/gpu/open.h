// Opening the device of an adapter.
#pragma once

#include <string>

#include "core/device_info.h"
#include "gpu/api.h"
#include "gpu/device.h"
#include "gpu/device_impl.h"
#include "gpu/disk_cache.h"

namespace daybreak {

// What a device is opened with. `support` hears of its loss and its uncaptured errors and keeps its
// compiled pipelines; it outlives the device.
struct OpenRequest {
  WGPUInstance instance = nullptr;
  WGPUAdapter adapter = nullptr;
  bool dawn = true;
  const DeviceOptions& options;
  DeviceSupport& support;
};

// Opens a device with all features and limits that `info` names. Lowers info.max_binding to the limit that
// the options ask for. Errors with the implementation's message when there is no device.
Gpu OpenDevice(const OpenRequest& request, DeviceInfo& info);

}  // namespace daybreak
