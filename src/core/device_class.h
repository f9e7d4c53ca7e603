// What kernels take for granted of a class of devices, because WebGPU tells neither cores nor threads.
//
// Subgroup sizes, matrix shapes and workgroup memory come from the device itself (core/device_info.h); what
// follows from them is no matter of class. docs/architecture.md, "What a class of devices decides", has the
// whole picture.
#pragma once

#include <cstdint>

#include "core/device_info.h"

namespace daybreak {

struct ClassFacts {
  uint32_t cores;        // that take workgroups side by side
  int64_t team_threads;  // that keep loads on their way while teams of lanes multiply floats
  int64_t dot_threads;   // the same for experts in packed products of integers, which wait more often
};

// A device of the class as people have it for this work; a smaller one gets more workgroups than it needs,
// which costs little. Only NVIDIA's and the software device's figures are measured (an H100, llvmpipe); the
// others follow from what their makers publish, and `daybreak tune` corrects what they cause.
constexpr ClassFacts FactsOf(DeviceClass device_class) {
  switch (device_class) {
    case DeviceClass::kNvidia:  // an H100 has 132 cores; 500 and 750 threads on each were fastest
      return {132, 65536, 98304};
    case DeviceClass::kAmd:  // 60 compute units of an RX 7800 XT (32 to 96 in its family), four SIMDs each
      return {60, 32768, 32768};
    case DeviceClass::kIntel:  // 32 Xe cores of an A770 (8 in processors), 8 threads of 16 lanes on 16
                               // engines
      return {32, 16384, 16384};
    case DeviceClass::kApple:  // 8 to 40 cores; few threads suffice: memory is near and caches are large
      return {20, 16384, 16384};
    case DeviceClass::kQualcomm:  // 6 processors of two halves on an Adreno X1, subgroups of 64 or 128 lanes
      return {12, 16384, 16384};
    case DeviceClass::kSoftware:  // a workgroup is a task of a thread; teams are asked for only
      return {2, 16384, 16384};
    case DeviceClass::kOther:
      break;
  }
  return {32, 16384, 16384};  // between the others
}

}  // namespace daybreak
