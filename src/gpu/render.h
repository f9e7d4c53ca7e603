// Dispatch -> WGSL. The text is a pure function of the pipeline key: equal keys give equal text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dispatch.h"
#include "gpu/segments.h"

namespace daybreak {

// The identity of a pipeline as plain words: shader, constants, types and segments of the bindings, names and
// kinds of the parameters. Strings enter as their addresses, which static storage keeps unique for the life
// of the process.
using PipelineKey = FixedVec<uint64_t, 224>;
PipelineKey KeyOf(const Dispatch& dispatch, const Segments& segments = {});
size_t HashOf(const PipelineKey& key);

// Bytes of the Params struct, laid out by WGSL's rules: lists first (whole vec4<u32>), then scalars in order.
size_t ParamBytes(const Dispatch& dispatch);
// Writes the values in that layout; `out` has ParamBytes bytes.
void WriteParams(const Dispatch& dispatch, uint8_t* out);

// Largest Params struct that travels as immediates.
inline constexpr size_t kMaxImmediateBytes = 64;

struct RenderTarget {
  bool immediates = true;      // Params up to kMaxImmediateBytes live in the immediate address space
  bool requires_lines = true;  // the implementation knows the `requires` names of WGSL language features
  uint64_t segment_bytes = 0;  // of bindings in segments, but their last ones
};

// The whole shader: enables, prelude, body with its includes. Errors name the shader and the unknown name.
std::string Render(const Dispatch& dispatch, const RenderTarget& target = {}, const Segments& segments = {});

}  // namespace daybreak
