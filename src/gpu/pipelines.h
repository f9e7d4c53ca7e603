// Pipelines by key: rendered and compiled on first use, several at a time.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "gpu/api.h"
#include "gpu/render.h"

namespace daybreak {

// A pipeline may still be compiling, on a thread of the implementation; its layout serves bind groups
// already.
class Pipeline {
 public:
  Pipeline(const Gpu& gpu, const Dispatch& dispatch, const Segments& segments, const RenderTarget& target,
           uint64_t id);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;

  bool Ready() const { return done_; }
  // The compiled pipeline; waits for it. Errors name the shader and carry the implementation's message and
  // the text.
  WGPUComputePipeline Get() const;

  const uint64_t id;
  const std::string shader;
  const size_t param_bytes;
  const bool uniform;  // params come from the uniform buffer: one more binding, with a dynamic offset
  BindGroupLayoutHandle layout;

 private:
  void Compile(const Dispatch& dispatch, WGPUShaderModule module);
  [[noreturn]] void FailToCompile(const std::string& error) const;

  const Gpu& gpu_;
  const std::string text_;
  ComputePipelineHandle handle_;
  std::string error_;
  WGPUFuture future_{};
  std::atomic<bool> done_ = false;
};

// Not thread-safe: the device's lock guards it.
class Pipelines {
 public:
  Pipelines(const Gpu& gpu, const RenderTarget& target) : gpu_(gpu), target_(target) {}

  // Errors name the shader, its constants and the implementation's message with its lines. A failed key fails
  // again. With the environment variable DAYBREAK_SHADER_DUMP=FOLDER every new shader is written there.
  const Pipeline& Get(const Dispatch& dispatch, const Segments& segments);

 private:
  struct Hash {
    size_t operator()(const PipelineKey& key) const { return HashOf(key); }
  };
  const Gpu& gpu_;
  const RenderTarget target_;
  std::unordered_map<PipelineKey, std::unique_ptr<Pipeline>, Hash> pipelines_;
  uint64_t next_id_ = 1;
};

}  // namespace daybreak
