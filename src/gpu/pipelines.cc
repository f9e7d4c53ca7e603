#include "gpu/pipelines.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr size_t kMostOfAModel = 512;
constexpr size_t kMostInBackground = 6;

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

Pipeline::Pipeline(const Gpu& gpu, Recipe given, uint64_t pipeline_id, bool here)
    : id(pipeline_id), recipe(std::move(given)), gpu_(gpu) {
  // The module is checked before it is used: an implementation that skips validation must never see an
  // invalid one.
  ErrorScope scope(gpu_);
  WGPUShaderSourceWGSL source{{nullptr, WGPUSType_ShaderSourceWGSL}, Str(recipe.text)};
  const WGPUShaderModuleDescriptor descriptor{&source.chain, Str(recipe.shader)};
  const ShaderModuleHandle module(wgpu.DeviceCreateShaderModule(gpu_.device.get(), &descriptor));
  layout = MakeLayout(gpu_, recipe);
  const std::string error = scope.Close();
  if (!error.empty() || !module || !layout) FailToCompile(error);
  Compile(module.get(), here);
}

Pipeline::~Pipeline() {
  if (!done_) gpu_.Wait(future_, done_);
}

void Pipeline::Compile(WGPUShaderModule module, bool here) {
  const WGPUBindGroupLayout layouts[] = {layout.get()};
  const auto immediate_bytes = static_cast<uint32_t>(recipe.uniform ? 0 : recipe.param_bytes);
  const WGPUPipelineLayoutDescriptor layout_descriptor{nullptr, Str(recipe.shader), 1, layouts,
                                                       immediate_bytes};
  const PipelineLayoutHandle pipeline_layout(
      wgpu.DeviceCreatePipelineLayout(gpu_.device.get(), &layout_descriptor));
  const WGPUComputePipelineDescriptor descriptor{
      nullptr, Str(recipe.shader), pipeline_layout.get(), {nullptr, module, Str("main"), 0, nullptr}};
  if (here || !gpu_.dawn) {  // wgpu-native has no asynchronous creation
    ErrorScope scope(gpu_);
    handle_ = ComputePipelineHandle(wgpu.DeviceCreateComputePipeline(gpu_.device.get(), &descriptor));
    error_ = scope.Close();
    done_ = true;
    return;
  }
  const WGPUCreateComputePipelineAsyncCallbackInfo info{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPUCreatePipelineAsyncStatus status, WGPUComputePipeline made, WGPUStringView message, void* user,
         void*) {
        auto* self = static_cast<Pipeline*>(user);
        if (status == WGPUCreatePipelineAsyncStatus_Success)
          self->handle_ = ComputePipelineHandle(made);
        else
          self->error_ = ToString(message);
        self->done_ = true;
      },
      this, nullptr};
  future_ = wgpu.DeviceCreateComputePipelineAsync(gpu_.device.get(), &descriptor, info);
}

WGPUComputePipeline Pipeline::Get() const {
  if (!done_) gpu_.Wait(future_, done_);
  if (!error_.empty() || !handle_) FailToCompile(error_);
  return handle_.get();
}

void Pipeline::FailToCompile(const std::string& error) const {
  Fail("Shader '", recipe.shader, "' does not compile: ", error, "\n", Numbered(recipe.text));
}

// Dawn compiles on two threads. When these have enough to do, the calling thread, which would only come to
// wait for the pipelines of a first run, compiles too.
const Pipeline& Pipelines::Make(Recipe recipe, bool ahead) {
  const auto found = made_.find(recipe.text);
  if (found != made_.end()) return *found->second;
  std::erase_if(compiling_, [](const Pipeline* p) { return p->Ready(); });
  const bool here = !ahead && compiling_.size() >= kMostInBackground;
  auto pipeline = std::make_unique<Pipeline>(gpu_, std::move(recipe), next_id_++, here);
  if (!here) compiling_.push_back(pipeline.get());
  return *made_.emplace(pipeline->recipe.text, std::move(pipeline)).first->second;
}

const Pipeline& Pipelines::Get(const Dispatch& dispatch, const Segments& segments, uint64_t model) {
  const PipelineKey key = KeyOf(dispatch, segments);
  const auto it = pipelines_.find(key);
  if (it != pipelines_.end()) return *it->second;
  Recipe recipe = RecipeOf(dispatch, segments, target_);
  Dump(recipe.shader, recipe.text);
  const Pipeline& pipeline = Make(std::move(recipe), false);
  pipelines_.emplace(key, &pipeline);
  if (model != 0) Use(model, pipeline);
  return pipeline;
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

void Pipelines::Prepare(uint64_t model) {
  if (models_.contains(model) || !cache_.Enabled()) return;
  Model& known = models_[model];
  try {
    for (Recipe& recipe : LoadRecipes(cache_, KeyOfModel(model)))
      known.used.push_back(&Make(std::move(recipe), true));
  } catch (const Error&) {  // of another version: compiled when it is needed, if it is
    known.changed = true;
  }
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
