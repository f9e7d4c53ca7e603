// Pipelines by key: rendered and compiled on first use, or ahead of it, several at a time.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/api.h"
#include "gpu/recipe.h"

namespace daybreak {

// A pipeline may still be compiling, on a thread of the implementation; its layout serves bind groups
// already.
class Pipeline {
 public:
  // `here`: compiled by the calling thread when the constructor returns.
  Pipeline(const Gpu& gpu, Recipe recipe, uint64_t id, bool here);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;

  bool Ready() const { return done_; }
  // The compiled pipeline; waits for it. Errors name the shader and carry the implementation's message and
  // the text.
  WGPUComputePipeline Get() const;

  const uint64_t id;
  const Recipe recipe;
  BindGroupLayoutHandle layout;

 private:
  void Compile(WGPUShaderModule module, bool here);
  [[noreturn]] void FailToCompile(const std::string& error) const;

  const Gpu& gpu_;
  ComputePipelineHandle handle_;
  std::string error_;
  WGPUFuture future_{};
  std::atomic<bool> done_ = false;
};

// Not thread-safe: the device's lock guards it.
class Pipelines {
 public:
  // `cache_key`: what must agree for pipelines of another process to be of use.
  Pipelines(const Gpu& gpu, const RenderTarget& target, const DiskCache& cache, std::string cache_key)
      : gpu_(gpu), target_(target), cache_(cache), cache_key_(std::move(cache_key)) {}

  // Errors name the shader, its constants and the implementation's message with its lines. A failed key fails
  // again. With the environment variable DAYBREAK_SHADER_DUMP=FOLDER every new shader is written there.
  // `model` (0: none) is the fingerprint of the model that asks.
  const Pipeline& Get(const Dispatch& dispatch, const Segments& segments, uint64_t model);

  // Starts to compile what earlier processes used for the model; does not wait.
  void Prepare(uint64_t model);
  // Keeps on disk what the model has used, if it used anything new.
  void Remember(uint64_t model);

 private:
  struct Hash {
    size_t operator()(const PipelineKey& key) const { return HashOf(key); }
  };
  // The pipelines of a model, of earlier processes and of this one.
  struct Model {
    std::vector<const Pipeline*> used;
    bool changed = false;
  };
  // `ahead`: nobody waits for it.
  const Pipeline& Make(Recipe recipe, bool ahead);
  void Use(uint64_t model, const Pipeline& pipeline);
  std::string KeyOfModel(uint64_t model) const;

  const Gpu& gpu_;
  const RenderTarget target_;
  const DiskCache& cache_;
  const std::string cache_key_;
  std::unordered_map<std::string, std::unique_ptr<Pipeline>> made_;  // by their text
  std::unordered_map<PipelineKey, const Pipeline*, Hash> pipelines_;
  std::unordered_map<uint64_t, Model> models_;
  std::vector<const Pipeline*> compiling_;
  uint64_t next_id_ = 1;
};

}  // namespace daybreak
