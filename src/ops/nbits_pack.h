// Puts block-quantised weights into packed order (core/packing.h).
#pragma once

#include "core/dispatch.h"
#include "core/packing.h"

namespace daybreak {

// Writes columns `first` to `end` - 1 of `from`, a matrix of this order's size with one column after the
// other, to the start of `to` in packed order. `first` and, unless it is the last column, `end` are multiples
// of kPackedGroup.
Dispatch PackColumns(const Tensor* from, const Tensor* to, const PackedOrder& order, uint32_t first,
                     uint32_t end);

}  // namespace daybreak
