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

BindGroupLayoutHandle MakeLayout(const Gpu& gpu, const Dispatch& d, const Segments& segments, bool uniform,
                                 size_t param_bytes) {
  std::vector<WGPUBindGroupLayoutEntry> entries;
  const auto add = [&](WGPUBufferBindingType type, bool dynamic, uint64_t min_size) {
    WGPUBindGroupLayoutEntry entry{};
    entry.binding = static_cast<uint32_t>(entries.size());
    entry.visibility = WGPUShaderStage_Compute;
    entry.buffer = {nullptr, type, dynamic, min_size};
    entries.push_back(entry);
  };
  for (size_t i = 0; i < d.in.size() + d.out.size(); ++i)
    for (uint32_t n = 0; n < SegmentsOf(segments, i); ++n)
      add(i < d.in.size() ? WGPUBufferBindingType_ReadOnlyStorage : WGPUBufferBindingType_Storage, false, 0);
  if (uniform) add(WGPUBufferBindingType_Uniform, true, param_bytes);
  const WGPUBindGroupLayoutDescriptor descriptor{nullptr, Str(d.shader), entries.size(), entries.data()};
  return BindGroupLayoutHandle(wgpu.DeviceCreateBindGroupLayout(gpu.device.get(), &descriptor));
}

bool NeedsUniform(const Dispatch& d, const RenderTarget& target) {
  const size_t bytes = ParamBytes(d);
  return bytes > 0 && !(target.immediates && bytes <= kMaxImmediateBytes);
}

}  // namespace

Pipeline::Pipeline(const Gpu& gpu, const Dispatch& d, const Segments& segments, const RenderTarget& target,
                   uint64_t pipeline_id)
    : id(pipeline_id),
      shader(d.shader),
      param_bytes(ParamBytes(d)),
      uniform(NeedsUniform(d, target)),
      gpu_(gpu),
      text_(Render(d, target, segments)) {
  Dump(shader, text_);
  // The module is checked before it is used: an implementation that skips validation must never see an
  // invalid one.
  ErrorScope scope(gpu_);
  WGPUShaderSourceWGSL source{{nullptr, WGPUSType_ShaderSourceWGSL}, Str(text_)};
  const WGPUShaderModuleDescriptor descriptor{&source.chain, Str(shader)};
  const ShaderModuleHandle module(wgpu.DeviceCreateShaderModule(gpu_.device.get(), &descriptor));
  layout = MakeLayout(gpu_, d, segments, uniform, param_bytes);
  const std::string error = scope.Close();
  if (!error.empty() || !module || !layout) FailToCompile(error);
  Compile(d, module.get());
}

Pipeline::~Pipeline() {
  if (!done_) gpu_.Wait(future_, done_);
}

void Pipeline::Compile(const Dispatch& d, WGPUShaderModule module) {
  const WGPUBindGroupLayout layouts[] = {layout.get()};
  const auto immediate_bytes = static_cast<uint32_t>(uniform ? 0 : param_bytes);
  const WGPUPipelineLayoutDescriptor layout_descriptor{nullptr, Str(shader), 1, layouts, immediate_bytes};
  const PipelineLayoutHandle pipeline_layout(
      wgpu.DeviceCreatePipelineLayout(gpu_.device.get(), &layout_descriptor));
  const WGPUComputePipelineDescriptor descriptor{
      nullptr, Str(d.shader), pipeline_layout.get(), {nullptr, module, Str("main"), 0, nullptr}};
  if (!gpu_.dawn) {  // wgpu-native has no asynchronous creation
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
  Fail("Shader '", shader, "' does not compile: ", error, "\n", Numbered(text_));
}

const Pipeline& Pipelines::Get(const Dispatch& dispatch, const Segments& segments) {
  const PipelineKey key = KeyOf(dispatch, segments);
  const auto it = pipelines_.find(key);
  if (it != pipelines_.end()) return *it->second;
  auto pipeline = std::make_unique<Pipeline>(gpu_, dispatch, segments, target_, next_id_++);
  return *pipelines_.emplace(key, std::move(pipeline)).first->second;
}

}  // namespace daybreak
