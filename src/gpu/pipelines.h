// Pipelines by key: rendered, compiled and checked on first use.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "gpu/api.h"
#include "gpu/render.h"

namespace daybreak {

struct Pipeline {
  ComputePipelineHandle handle;
  BindGroupLayoutHandle layout;
  uint64_t id = 0;
  size_t storage_buffers = 0;
  size_t param_bytes = 0;
  bool uniform = false;  // params come from the uniform ring (one more binding, with a dynamic offset)
  std::string shader, variant;
};

// Not thread-safe: the device's lock guards it.
class Pipelines {
 public:
  Pipelines(const Gpu& gpu, const RenderTarget& target) : gpu_(gpu), target_(target) {}

  // Errors name the shader, its constants and the implementation's message with its lines. A failed key fails
  // again. With the environment variable DAYBREAK_SHADER_DUMP=FOLDER every new shader is written there.
  const Pipeline& Get(const Dispatch& dispatch);

 private:
  struct Hash {
    size_t operator()(const PipelineKey& key) const { return HashOf(key); }
  };
  std::unique_ptr<Pipeline> Compile(const Dispatch& dispatch);

  const Gpu& gpu_;
  const RenderTarget target_;
  std::unordered_map<PipelineKey, std::unique_ptr<Pipeline>, Hash> pipelines_;
  uint64_t next_id_ = 1;
};

}  // namespace daybreak
