// The order in which kernels of products read block-quantised weights.
//
// A matrix [columns][rows] of elements lies in groups of 32 columns, the last one with what is left; in a
// group the elements of one row are neighbours. Lanes that take neighbouring columns so read neighbouring
// elements, and a group is a permutation of its own bytes, so that weights can be put into this order where
// they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/fixed_vec.h"

namespace daybreak {

inline constexpr uint32_t kPackedGroup = 32;

struct PackedOrder {
  uint32_t columns = 0, rows = 0, bytes = 0;  // bytes of an element: 1, 2, 4, 8 or 16

  uint64_t size() const { return uint64_t{columns} * rows * bytes; }  // in bytes
  // Where element `row` of column `n` lies; lib/packed.wgsl says the same.
  uint64_t at(uint32_t n, uint32_t row) const {
    const uint32_t first = n / kPackedGroup * kPackedGroup;
    const uint32_t width = std::min(kPackedGroup, columns - first);
    return uint64_t{first} * rows + uint64_t{row} * width + (n - first);
  }
  friend bool operator==(const PackedOrder&, const PackedOrder&) = default;
};

// An input that a row's kernels read in packed order.
struct PackedInput {
  size_t input = 0;
  PackedOrder order;
  // The kernel reads both orders: the input is packed only where another node wants it so.
  bool follows = false;
};

using PackedInputs = FixedVec<PackedInput, 9>;

}  // namespace daybreak
