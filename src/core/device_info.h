// What operators may know about the device that they run on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace daybreak {

// Tuning tables are keyed by this class.
enum class DeviceClass : uint8_t { kNvidia, kAmd, kIntel, kApple, kQualcomm, kSoftware, kOther };

// One matrix shape of the subgroup-matrix feature: result (m x n) += left (m x k) * right (k x n).
struct MatrixConfig {
  DType component;  // element type of left and right
  DType result;
  uint32_t m, n, k;
};

struct DeviceInfo {
  std::string name;    // "NVIDIA H100 80GB HBM3"
  std::string vendor;  // as WebGPU reports it
  std::string architecture;
  std::string driver;
  std::string backend;     // "Vulkan", "Metal", "D3D12"
  uint32_t vendor_id = 0;  // PCI
  uint32_t device_id = 0;  // PCI
  DeviceClass device_class = DeviceClass::kOther;
  bool software = false;

  bool f16 = false;
  bool subgroups = false;
  bool timestamps = false;  // timestamp queries at pass boundaries
  bool timestamps_in_pass = false;
  bool immediates = false;
  uint32_t subgroup_min = 0, subgroup_max = 0;  // 0 without subgroups
  std::vector<MatrixConfig> matrices;           // empty without subgroup matrices

  uint32_t max_invocations = 256;  // threads a workgroup
  uint32_t max_workgroup_x = 256;
  uint32_t workgroup_bytes = 16384;   // workgroup memory
  uint32_t max_storage_buffers = 8;   // a dispatch
  uint64_t max_binding = 128u << 20;  // bytes of one storage binding
  uint64_t max_buffer = 256u << 20;   // bytes of one buffer
  uint32_t binding_alignment = 256;   // of a binding's offset

  // A tensor above max_binding takes several bindings: segments of this size, and a shorter last one. A
  // segment holds whole elements of any type and begins at an offset that may be bound.
  uint64_t segment_bytes() const { return max_binding / 256 * 256; }
  uint64_t bindings(uint64_t bytes) const {
    return bytes <= segment_bytes() ? 1 : (bytes - 1) / segment_bytes() + 1;
  }

  // Subgroup size when it is one fixed value, else 0.
  uint32_t subgroup_size() const { return subgroup_min == subgroup_max ? subgroup_min : 0; }
};

}  // namespace daybreak
