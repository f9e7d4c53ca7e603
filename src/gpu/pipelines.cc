#include "gpu/pipelines.h"

#include <cstdlib>
#include <fstream>
#include <vector>

#include "core/error.h"

namespace daybreak {
namespace {

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

BindGroupLayoutHandle MakeLayout(const Gpu& gpu, const Dispatch& d, bool uniform, size_t param_bytes) {
  std::vector<WGPUBindGroupLayoutEntry> entries;
  const auto add = [&](WGPUBufferBindingType type, bool dynamic, uint64_t min_size) {
    WGPUBindGroupLayoutEntry entry{};
    entry.binding = static_cast<uint32_t>(entries.size());
    entry.visibility = WGPUShaderStage_Compute;
    entry.buffer = {nullptr, type, dynamic, min_size};
    entries.push_back(entry);
  };
  for (size_t i = 0; i < d.in.size(); ++i) add(WGPUBufferBindingType_ReadOnlyStorage, false, 0);
  for (size_t i = 0; i < d.out.size(); ++i) add(WGPUBufferBindingType_Storage, false, 0);
  if (uniform) add(WGPUBufferBindingType_Uniform, true, param_bytes);
  const WGPUBindGroupLayoutDescriptor descriptor{nullptr, Str(d.shader), entries.size(), entries.data()};
  return BindGroupLayoutHandle(wgpu.DeviceCreateBindGroupLayout(gpu.device.get(), &descriptor));
}

}  // namespace

const Pipeline& Pipelines::Get(const Dispatch& dispatch) {
  const PipelineKey key = KeyOf(dispatch);
  const auto it = pipelines_.find(key);
  if (it != pipelines_.end()) return *it->second;
  return *(pipelines_[key] = Compile(dispatch));
}

std::unique_ptr<Pipeline> Pipelines::Compile(const Dispatch& d) {
  const std::string text = Render(d, target_);
  Dump(d.shader, text);

  auto pipeline = std::make_unique<Pipeline>();
  pipeline->shader = d.shader;
  pipeline->variant = d.variant;
  pipeline->id = next_id_++;
  pipeline->storage_buffers = d.in.size() + d.out.size();
  pipeline->param_bytes = ParamBytes(d);
  const bool immediate = target_.immediates && pipeline->param_bytes <= kMaxImmediateBytes;
  pipeline->uniform = pipeline->param_bytes > 0 && !immediate;

  const auto check = [&](const std::string& error, bool made) {
    Check(error.empty() && made, "Shader '", d.shader, "' does not compile: ", error, "\n", Numbered(text));
  };
  // The module is checked on its own: an implementation that skips validation must never see an invalid one
  // used.
  ErrorScope module_scope(gpu_);
  WGPUShaderSourceWGSL source{{nullptr, WGPUSType_ShaderSourceWGSL}, Str(text)};
  const WGPUShaderModuleDescriptor module_descriptor{&source.chain, Str(d.shader)};
  const ShaderModuleHandle module(wgpu.DeviceCreateShaderModule(gpu_.device.get(), &module_descriptor));
  check(module_scope.Close(), static_cast<bool>(module));

  ErrorScope pipeline_scope(gpu_);
  pipeline->layout = MakeLayout(gpu_, d, pipeline->uniform, pipeline->param_bytes);
  const WGPUBindGroupLayout layouts[] = {pipeline->layout.get()};
  const uint32_t immediate_bytes = immediate ? static_cast<uint32_t>(pipeline->param_bytes) : 0;
  const WGPUPipelineLayoutDescriptor layout_descriptor{nullptr, Str(d.shader), 1, layouts, immediate_bytes};
  const PipelineLayoutHandle layout(wgpu.DeviceCreatePipelineLayout(gpu_.device.get(), &layout_descriptor));
  const WGPUComputePipelineDescriptor descriptor{
      nullptr, Str(d.shader), layout.get(), {nullptr, module.get(), Str("main"), 0, nullptr}};
  pipeline->handle = ComputePipelineHandle(wgpu.DeviceCreateComputePipeline(gpu_.device.get(), &descriptor));
  check(pipeline_scope.Close(), static_cast<bool>(pipeline->handle));
  return pipeline;
}

}  // namespace daybreak
