// The kernel that ORT runs: one implementation for all operator rows.
#pragma once

#include "ep/api.h"

namespace daybreak {

// `row` is the OpDef that the kernel was registered with.
OrtStatus* ORT_API_CALL CreateKernel(void* row, const OrtKernelInfo* info, OrtKernelImpl** kernel) noexcept;

}  // namespace daybreak
