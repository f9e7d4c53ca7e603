// Pipelines by key: rendered on first use, or ahead of it, and compiled on threads of their own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/api.h"
#include "gpu/compiler.h"
#include "gpu/recipe.h"

namespace daybreak {

// A pipeline is compiled once, by the thread that comes to it first: one of the compiler's, or the one that
// needs it. Its layout serves bind groups before.
class Pipeline {
 public:
  Pipeline(const Gpu& gpu, Recipe recipe, uint64_t id);
  Pipeline(const Pipeline&) = delete;

  bool Ready() const { return done_; }
  // Compiles unless another thread has begun to. Any thread may call it, whatever the others do.
  void Compile() const noexcept;
  // The compiled pipeline; compiles it or waits for it. Errors name the shader and carry the implementation's
  // message and the text.
  WGPUComputePipeline Get() const;

  const uint64_t id;
  const Recipe recipe;
  BindGroupLayoutHandle layout;

 private:
  ComputePipelineHandle Make() const;
  [[noreturn]] void FailToCompile() const;

  const Gpu& gpu_;
  mutable std::atomic<bool> begun_ = false, done_ = false;
  // Written before done_.
  mutable ComputePipelineHandle handle_;
  mutable std::string error_;
};

// Not thread-safe: the device's lock guards it.
class Pipelines {
 public:
  // `cache_key`: what must agree for pipelines of another process to be of use.
  Pipelines(const Gpu& gpu, const RenderTarget& target, const DiskCache& cache, std::string cache_key);

  // Errors name the shader, its constants and the implementation's message with its lines. A failed key fails
  // again. With the environment variable DAYBREAK_SHADER_DUMP=FOLDER every new shader is written there.
  // `model` (0: none) is the fingerprint of the model that asks.
  const Pipeline& Get(const Dispatch& dispatch, const Segments& segments, uint64_t model);

  // Starts to compile what earlier processes used for the model; does not wait. False when nothing is known
  // of it.
  bool Prepare(uint64_t model);
  // Starts to compile what the dispatch would need, after all that is needed already. Does nothing where
  // compiling would keep the caller.
  void Foresee(const Dispatch& dispatch, const Segments& segments);
  // Keeps on disk what the model has used, if it used anything new.
  void Remember(uint64_t model);

 private:
  struct Hash {
    size_t operator()(const PipelineKey& key) const { return HashOf(key); }
  };
  struct Entry {
    const Pipeline* pipeline;
    uint64_t model;  // that asked last
  };
  // The pipelines of a model, of earlier processes and of this one.
  struct Model {
    std::vector<const Pipeline*> used;
    bool changed = false;
  };
  // `ahead`: nobody waits for it.
  const Pipeline& Make(Recipe recipe, bool ahead);
  // Notes that `model` asks for the pipeline of the entry.
  void Ask(Entry& entry, uint64_t model);
  void Use(uint64_t model, const Pipeline& pipeline);
  std::string KeyOfModel(uint64_t model) const;

  const Gpu& gpu_;
  const RenderTarget target_;
  const DiskCache& cache_;
  const std::string cache_key_;
  std::unordered_map<std::string, std::unique_ptr<Pipeline>> made_;  // by their text
  std::unordered_map<PipelineKey, Entry, Hash> pipelines_;
  std::unordered_map<uint64_t, Model> models_;
  uint64_t next_id_ = 1;
  Compiler compiler_;  // ends before the pipelines do
};

}  // namespace daybreak
