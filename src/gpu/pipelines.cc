#include "gpu/pipelines.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr size_t kMostOfAModel = 512;
constexpr size_t kMostThreads = 8;
constexpr uint64_t kNobody = ~uint64_t{0};

// A thread for each so many CPU cores.
size_t Threads(size_t cores) {
  return std::clamp<size_t>(std::thread::hardware_concurrency() / cores, 1, kMostThreads);
}

// Lines with numbers, for the message of a shader that does not compile.
std::string Numbered(const std::string& text) {
  std::string out;
  size_t line = 1;
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1);
    out += std::to_string(line) + ": " + text.substr(at, end - at + 1);
    at = end + 1;
  }
  return out;
}

void Dump(const std::string& name, const std::string& text) {
  static const char* folder = std::getenv("DAYBREAK_SHADER_DUMP");
  if (folder == nullptr) return;
  std::ofstream(std::string(folder) + "/" + name + "-" + std::to_string(std::hash<std::string>{}(text)) +
                ".wgsl")
      << text;
}

BindGroupLayoutHandle MakeLayout(const Gpu& gpu, const Recipe& recipe) {
  std::vector<WGPUBindGroupLayoutEntry> entries;
  const auto add = [&](WGPUBufferBindingType type, bool dynamic, uint64_t min_size) {
    WGPUBindGroupLayoutEntry entry{};
    entry.binding = static_cast<uint32_t>(entries.size());
    entry.visibility = WGPUShaderStage_Compute;
    entry.buffer = {nullptr, type, dynamic, min_size};
    entries.push_back(entry);
  };
  for (const char binding : recipe.bindings)
    add(binding == 'r' ? WGPUBufferBindingType_ReadOnlyStorage : WGPUBufferBindingType_Storage, false, 0);
  if (recipe.uniform) add(WGPUBufferBindingType_Uniform, true, recipe.param_bytes);
  const WGPUBindGroupLayoutDescriptor descriptor{nullptr, Str(recipe.shader), entries.size(), entries.data()};
  return BindGroupLayoutHandle(wgpu.DeviceCreateBindGroupLayout(gpu.device.get(), &descriptor));
}

}  // namespace

Pipeline::Pipeline(const Gpu& gpu, Recipe given, uint64_t pipeline_id)
    : id(pipeline_id), recipe(std::move(given)), layout(MakeLayout(gpu, recipe)), gpu_(gpu) {}

void Pipeline::Compile() const noexcept {
  if (begun_.exchange(true)) return;
  try {
    handle_ = Make();
  } catch (const std::exception& e) {
    error_ = e.what();
  }
  done_ = true;
  done_.notify_all();
}

// The module is checked before it is used: an implementation that skips validation must never see an invalid
// one.
ComputePipelineHandle Pipeline::Make() const {
  ErrorScope scope(gpu_);
  WGPUShaderSourceWGSL source{{nullptr, WGPUSType_ShaderSourceWGSL}, Str(recipe.text)};
  const WGPUShaderModuleDescriptor module_descriptor{&source.chain, Str(recipe.shader)};
  const ShaderModuleHandle module(wgpu.DeviceCreateShaderModule(gpu_.device.get(), &module_descriptor));
  std::string error = scope.Close();
  Check(error.empty() && module && layout, error);

  ErrorScope second(gpu_);
  const WGPUBindGroupLayout layouts[] = {layout.get()};
  const auto immediate_bytes = static_cast<uint32_t>(recipe.uniform ? 0 : recipe.param_bytes);
  const WGPUPipelineLayoutDescriptor layout_descriptor{nullptr, Str(recipe.shader), 1, layouts,
                                                       immediate_bytes};
  const PipelineLayoutHandle pipeline_layout(
      wgpu.DeviceCreatePipelineLayout(gpu_.device.get(), &layout_descriptor));
  const WGPUComputePipelineDescriptor descriptor{
      nullptr, Str(recipe.shader), pipeline_layout.get(), {nullptr, module.get(), Str("main"), 0, nullptr}};
  ComputePipelineHandle made(wgpu.DeviceCreateComputePipeline(gpu_.device.get(), &descriptor));
  error = second.Close();
  Check(error.empty() && made, error);
  return made;
}

WGPUComputePipeline Pipeline::Get() const {
  Compile();
  done_.wait(false);
  if (!error_.empty() || !handle_) FailToCompile();
  return handle_.get();
}

void Pipeline::FailToCompile() const {
  Fail("Shader '", recipe.shader, "' does not compile: ", error_, "\n", Numbered(recipe.text));
}

Pipelines::Pipelines(const Gpu& gpu, const RenderTarget& target, const DiskCache& cache,
                     std::string cache_key)
    : gpu_(gpu),
      target_(target),
      cache_(cache),
      cache_key_(std::move(cache_key)),
      compiler_(Threads(1), Threads(2)) {}

// Dawn makes modules and pipelines on any number of threads at a time. wgpu-native keeps the scopes of errors
// of one thread, so there the calling thread compiles.
const Pipeline& Pipelines::Make(Recipe recipe, bool ahead) {
  auto found = made_.find(recipe.text);
  if (found == made_.end()) {
    Dump(recipe.shader, recipe.text);
    auto pipeline = std::make_unique<Pipeline>(gpu_, std::move(recipe), next_id_++);
    found = made_.emplace(pipeline->recipe.text, std::move(pipeline)).first;
  } else if (ahead) {
    return *found->second;
  }
  const Pipeline& pipeline = *found->second;
  if (!gpu_.dawn)
    pipeline.Compile();
  else if (!pipeline.Ready())
    compiler_.Add(pipeline, ahead);
  return pipeline;
}

const Pipeline& Pipelines::Get(const Dispatch& dispatch, const Segments& segments, uint64_t model) {
  const PipelineKey key = KeyOf(dispatch, segments);
  auto it = pipelines_.find(key);
  if (it == pipelines_.end()) {
    const Pipeline& made = Make(RecipeOf(dispatch, segments, target_), false);
    it = pipelines_.emplace(key, Entry{&made, 0}).first;
  }
  if (it->second.model != model) Ask(it->second, model);
  return *it->second.pipeline;
}

void Pipelines::Ask(Entry& entry, uint64_t model) {
  const Pipeline& pipeline = *entry.pipeline;
  if (entry.model == kNobody && gpu_.dawn && !pipeline.Ready()) compiler_.Add(pipeline, false);
  if (model != 0) Use(model, pipeline);
  entry.model = model;
}

void Pipelines::Foresee(const Dispatch& dispatch, const Segments& segments) {
  if (!gpu_.dawn) return;
  const PipelineKey key = KeyOf(dispatch, segments);
  if (pipelines_.contains(key)) return;
  pipelines_.emplace(key, Entry{&Make(RecipeOf(dispatch, segments, target_), true), kNobody});
}

void Pipelines::Use(uint64_t model, const Pipeline& pipeline) {
  Model& known = models_[model];
  if (std::find(known.used.begin(), known.used.end(), &pipeline) != known.used.end()) return;
  if (known.used.size() >= kMostOfAModel) known.used.clear();  // most are of earlier versions by now
  known.used.push_back(&pipeline);
  known.changed = true;
}

std::string Pipelines::KeyOfModel(uint64_t model) const {
  return cache_key_ + "|pipelines of " + std::to_string(model);
}

bool Pipelines::Prepare(uint64_t model) {
  if (models_.contains(model)) return true;
  Model& known = models_[model];
  if (!cache_.Enabled()) return false;
  try {
    for (Recipe& recipe : LoadRecipes(cache_, KeyOfModel(model)))
      known.used.push_back(&Make(std::move(recipe), true));
  } catch (const Error&) {  // of another version: compiled when it is needed, if it is
    known.changed = true;
  }
  return !known.used.empty();
}

void Pipelines::Remember(uint64_t model) {
  const auto found = models_.find(model);
  if (found == models_.end() || !found->second.changed) return;
  std::vector<const Recipe*> recipes;
  for (const Pipeline* pipeline : found->second.used) recipes.push_back(&pipeline->recipe);
  StoreRecipes(cache_, KeyOfModel(model), recipes);
  found->second.changed = false;
}

}  // namespace daybreak
