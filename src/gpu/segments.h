// Tensors above the device's limit for one storage binding. Such a tensor is bound as several neighbouring
// ranges of its buffer, its segments, and the shader's text reaches its elements through functions instead of
// brackets.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "core/fixed_vec.h"

namespace daybreak {

// Segments of each binding of a dispatch, inputs first; empty when every binding has one.
using Segments = FixedVec<uint8_t, 24>;

inline uint32_t SegmentsOf(const Segments& segments, size_t binding) {
  return segments.empty() ? 1 : segments[binding];
}

// One binding in segments. `elements` is what a segment holds of the binding's storage element (NAME_t).
struct SegmentedBinding {
  std::string name;
  uint32_t segments = 2;
  uint64_t elements = 0;
  bool output = false, atomic = false;
};

// The variables of the segments from binding number `first` on, and the functions over them:
// NAME_segments_load(i), for outputs NAME_segments_store(i, value), for atomic words
// NAME_segments_atomicMax(i, value) and NAME_segments_atomicExchange(i, value).
std::string DeclareSegments(const SegmentedBinding& binding, size_t first);

// The text with every NAME[i], NAME[i] = value and atomicX(&NAME[i], value) of these names as calls of those
// functions. A name is taken for the binding wherever it stands before a bracket, so nothing else may have it
// there.
std::string UseSegments(const std::string& text, const std::set<std::string>& names);

}  // namespace daybreak
