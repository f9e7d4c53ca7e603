// The operator rows as ORT's kernel registry.
#pragma once

#include <deque>

#include "ep/api.h"
#include "ep/kernel.h"

namespace daybreak {

struct KernelRegistry {
  std::deque<KernelRow> rows;  // what the registered kernels are created with
  Own<OrtKernelRegistry> kernels;
};

// With `capture`, inputs that rows list under `host_eager` are read on the device.
KernelRegistry MakeRegistry(const char* ep_name, bool capture, const OrtLogger* logger);

}  // namespace daybreak
