// The few Dawn extensions that Daybreak uses and that the standard webgpu.h lacks. Values are those of Dawn's
// own header; other implementations ignore or refuse them, so they are used only where `Gpu::dawn` is true.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/api.h"

namespace daybreak::dawn {

inline constexpr auto kTimestampsInsidePasses = static_cast<WGPUFeatureName>(0x00050003);
// Calls on a device may come from several threads.
inline constexpr auto kThreads = static_cast<WGPUFeatureName>(0x00050004);
inline constexpr auto kSubgroupMatrix = static_cast<WGPUFeatureName>(0x00050034);

inline constexpr auto kTogglesType = static_cast<WGPUSType>(0x0005000A);
struct Toggles {
  WGPUChainedStruct chain;
  size_t enabled_count;
  const char* const* enabled;
  size_t disabled_count;
  const char* const* disabled;
};

// Pipelines survive the process through two functions of ours.
inline constexpr auto kCacheType = static_cast<WGPUSType>(0x00050007);
struct LoadCacheCallback {
  WGPUChainedStruct* next;
  size_t (*load)(size_t key_size, const void* key, size_t value_size, void* value, void* user1, void* user2);
  void* user1;
  void* user2;
};
struct StoreCacheCallback {
  WGPUChainedStruct* next;
  void (*store)(size_t key_size, const void* key, size_t value_size, const void* value, void* user1,
                void* user2);
  void* user1;
  void* user2;
};
struct Cache {
  WGPUChainedStruct chain;
  WGPUStringView isolation_key;
  LoadCacheCallback load;
  StoreCacheCallback store;
};

// Chained to WGPUAdapterInfo: the matrix shapes of the adapter.
inline constexpr auto kSubgroupMatrixConfigsType = static_cast<WGPUSType>(0x0005003B);
enum class Component : uint32_t { kF32 = 1, kF16 = 2, kU32 = 3, kI32 = 4, kU8 = 5, kI8 = 6 };
struct SubgroupMatrixConfig {
  uint32_t component, result, m, n, k;
};
struct SubgroupMatrixConfigs {
  WGPUChainedStruct chain;
  size_t count;
  const SubgroupMatrixConfig* configs;
};

}  // namespace daybreak::dawn

namespace daybreak::native {

// wgpu-native's own numbers for features.
inline constexpr auto kSubgroup = static_cast<WGPUFeatureName>(0x00030021);

}  // namespace daybreak::native
