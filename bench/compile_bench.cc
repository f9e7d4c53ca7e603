// How long shaders take to become pipelines, and how that scales with threads, with no cache of Daybreak's.
//
//   compile_bench FOLDER THREADS...     FOLDER: what DAYBREAK_SHADER_DUMP=FOLDER wrote during a run
//
// A line of JSON for each number of threads: seconds for all shaders, the sum over shaders, and the
// milliseconds of each, the longest first (`module`: from WGSL to a checked module; `pipeline`: the rest).
// Every number gets a device of its own. Turn the driver's cache off: __GL_SHADER_DISK_CACHE=0,
// MESA_SHADER_CACHE_DISABLE=1.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/error.h"
#include "gpu/dawn.h"
#include "gpu/open.h"

namespace daybreak {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Shader {
  std::string name, text, error;
  double module_ms = 0, pipeline_ms = 0;
  double ms() const { return module_ms + pipeline_ms; }
};

std::vector<Shader> ReadFolder(const char* folder) {
  std::vector<Shader> shaders;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".wgsl") continue;
    std::ostringstream text;
    text << std::ifstream(file.path()).rdbuf();
    shaders.push_back({file.path().stem().string(), text.str(), ""});
  }
  std::sort(shaders.begin(), shaders.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return shaders;
}

// The first adapter, as the library opens it.
class OpenedDevice {
 public:
  explicit OpenedDevice(DeviceInfo info) {
    constexpr const char* kOn[] = {"allow_unsafe_apis", "use_vulkan_memory_model",
                                   "vulkan_enable_f16_on_nvidia"};
    dawn::Toggles toggles{{nullptr, dawn::kTogglesType}, std::size(kOn), kOn, 0, nullptr};
    const WGPUInstanceFeatureName waits = WGPUInstanceFeatureName_TimedWaitAny;
    const WGPUInstanceDescriptor descriptor{&toggles.chain, 1, &waits, nullptr};
    gpu.instance = wgpu.CreateInstance(&descriptor);
    WGPURequestAdapterOptions options{};
    options.nextInChain = &toggles.chain;
    options.featureLevel = WGPUFeatureLevel_Core;
    options.powerPreference = WGPUPowerPreference_HighPerformance;
    WGPUAdapter found = nullptr;
    std::atomic<bool> done = false;
    const WGPURequestAdapterCallbackInfo callback{
        nullptr, WGPUCallbackMode_AllowSpontaneous,
        [](WGPURequestAdapterStatus, WGPUAdapter adapter, WGPUStringView, void* out, void* flag) {
          *static_cast<WGPUAdapter*>(out) = adapter;
          *static_cast<std::atomic<bool>*>(flag) = true;
        },
        &found, &done};
    gpu.Wait(wgpu.InstanceRequestAdapter(gpu.instance, &options, callback), done);
    Check(found != nullptr, "There is no adapter.");
    const AdapterHandle adapter(found);
    gpu = OpenDevice({gpu.instance, found, true, options_, support_}, info);
  }

  Gpu gpu;

 private:
  const DeviceOptions options_;
  DeviceSupport support_{"off", ""};
};

void Compile(const Gpu& gpu, Shader& shader) {
  const auto start = Clock::now();
  ErrorScope scope(gpu);
  WGPUShaderSourceWGSL source{{nullptr, WGPUSType_ShaderSourceWGSL}, Str(shader.text)};
  const WGPUShaderModuleDescriptor module_descriptor{&source.chain, Str(shader.name)};
  const ShaderModuleHandle module(wgpu.DeviceCreateShaderModule(gpu.device.get(), &module_descriptor));
  shader.error = scope.Close();
  shader.module_ms = MillisecondsSince(start);
  if (!shader.error.empty()) return;
  const auto second = Clock::now();
  const WGPUComputePipelineDescriptor descriptor{
      nullptr, Str(shader.name), nullptr, {nullptr, module.get(), Str("main"), 0, nullptr}};
  ErrorScope rest(gpu);
  const ComputePipelineHandle made(wgpu.DeviceCreateComputePipeline(gpu.device.get(), &descriptor));
  shader.error = rest.Close();
  shader.pipeline_ms = MillisecondsSince(second);
}

void Report(size_t threads, double ms, std::vector<Shader>& shaders) {
  std::sort(shaders.begin(), shaders.end(), [](auto& a, auto& b) { return a.ms() > b.ms(); });
  double sum = 0;
  for (const Shader& s : shaders) sum += s.ms();
  std::printf("{\"threads\": %zu, \"shaders\": %zu, \"seconds\": %.3f, \"sum\": %.3f, \"each\": {", threads,
              shaders.size(), ms / 1e3, sum / 1e3);
  const char* comma = "";
  for (const Shader& s : shaders) {
    std::printf("%s\"%s\": {\"module\": %.1f, \"pipeline\": %.1f}", comma, s.name.c_str(), s.module_ms,
                s.pipeline_ms);
    comma = ", ";
    if (!s.error.empty()) std::fprintf(stderr, "%s: %s\n", s.name.c_str(), s.error.c_str());
  }
  std::printf("}}\n");
}

void Measure(const char* folder, size_t count) {
  const OpenedDevice device(WebGpu::Load().Adapters().at(0).info);
  std::vector<Shader> shaders = ReadFolder(folder);
  std::atomic<size_t> next = 0;
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < count; ++t)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < shaders.size();) Compile(device.gpu, shaders[i]);
    });
  for (std::thread& thread : threads) thread.join();
  Report(count, MillisecondsSince(start), shaders);
}

}  // namespace
}  // namespace daybreak

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: compile_bench FOLDER THREADS...\n");
    return 2;
  }
  try {
    for (int i = 2; i < argc; ++i) daybreak::Measure(argv[1], std::strtoul(argv[i], nullptr, 10));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
