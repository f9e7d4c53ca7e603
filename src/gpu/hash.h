// The hash of keys that are lists of words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace daybreak {

inline size_t HashWords(std::span<const uint64_t> words) {
  uint64_t h = 0x9e3779b97f4a7c15ull;
  for (const uint64_t word : words) {
    h = (h ^ word) * 0xff51afd7ed558ccdull;
    h ^= h >> 32;
  }
  return static_cast<size_t>(h);
}

}  // namespace daybreak
