// The operator rows as ORT's kernel registry.
#pragma once

#include "ep/api.h"

namespace daybreak {

// With `capture`, inputs that rows list under `host_eager` are read on the device.
Own<OrtKernelRegistry> MakeRegistry(const char* ep_name, bool capture, const OrtLogger* logger);

}  // namespace daybreak
