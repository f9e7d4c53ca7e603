// The kernel that ORT runs: one implementation for all operator rows.
#pragma once

#include "core/op.h"
#include "ep/api.h"

namespace daybreak {

// What a kernel is registered with.
struct KernelRow : Home {
  const OpDef* row;
};

// `kernel_row` is the KernelRow.
OrtStatus* ORT_API_CALL CreateKernel(void* kernel_row, const OrtKernelInfo* info,
                                     OrtKernelImpl** kernel) noexcept;

}  // namespace daybreak
