#include "gpu/bind_groups.h"

#include <utility>

#include "gpu/hash.h"

namespace daybreak {
namespace {

constexpr size_t kGeneration = 2048;
constexpr size_t kMaxDead = 256;
constexpr uint64_t kMaxDeadBytes = 64 << 20;

}  // namespace

size_t BindGroups::Hash::operator()(const Key& key) const { return HashWords({key.data(), key.size()}); }

WGPUBindGroup BindGroups::Get(const Pipeline& pipeline, const BoundRanges& ranges, WGPUBuffer uniform) {
  Key key{pipeline.id};
  for (const BoundRange& r : ranges) {
    key.push_back(r.buffer->id);
    key.push_back(r.offset);
    key.push_back(r.bytes);
  }
  const auto it = groups_.find(key);
  if (it != groups_.end()) return it->second.get();
  if (groups_.size() >= kGeneration) old_ = std::exchange(groups_, {});
  if (auto known = old_.extract(key)) return groups_.insert(std::move(known)).position->second.get();

  if (dead_bytes_ > kMaxDeadBytes || dead_.size() > kMaxDead) Sweep();
  FixedVec<WGPUBindGroupEntry, 21> entries;
  for (const BoundRange& r : ranges)
    entries.push_back({nullptr, static_cast<uint32_t>(entries.size()), r.buffer->handle.get(), r.offset,
                       r.bytes, nullptr, nullptr});
  if (pipeline.recipe.uniform)
    entries.push_back({nullptr, static_cast<uint32_t>(entries.size()), uniform, 0,
                       CeilDiv<uint64_t>(pipeline.recipe.param_bytes, 16) * 16, nullptr, nullptr});
  const WGPUBindGroupDescriptor descriptor{nullptr, Str(pipeline.recipe.shader), pipeline.layout.get(),
                                           entries.size(), entries.data()};
  BindGroupHandle group(wgpu.DeviceCreateBindGroup(gpu_.device.get(), &descriptor));
  Check(static_cast<bool>(group), "The device gave no bind group for shader '", pipeline.recipe.shader, "'.");
  return groups_.emplace(key, std::move(group)).first->second.get();
}

void BindGroups::Forget(const Buffer& buffer) {
  dead_.insert(buffer.id);
  dead_bytes_ += buffer.capacity;
  if (dead_bytes_ > kMaxDeadBytes) Sweep();
}

void BindGroups::Sweep() {
  for (Groups* groups : {&groups_, &old_})
    std::erase_if(*groups, [&](const auto& entry) {
      const Key& key = entry.first;
      for (size_t i = 1; i < key.size(); i += 3)
        if (dead_.contains(key[i])) return true;
      return false;
    });
  dead_.clear();
  dead_bytes_ = 0;
}

}  // namespace daybreak
