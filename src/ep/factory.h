// The factory that ONNX Runtime makes execution providers with.
#pragma once

#include "ep/api.h"

namespace daybreak {

// Loads the WebGPU library and lists its adapters; throws when there is none. The EP takes `registered_name`
// when that is Daybreak's own name, else ORT's name for WebGPU.
OrtEpFactory* MakeFactory(const char* registered_name, const OrtLogger* logger);

// Deletes what MakeFactory made.
void DeleteFactory(OrtEpFactory* factory) noexcept;

}  // namespace daybreak
