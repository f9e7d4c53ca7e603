// Loading a WebGPU implementation, listing its adapters, opening their devices.
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>

#include "core/error.h"
#include "gpu/dawn.h"
#include "gpu/device_impl.h"
#include "gpu/open.h"

namespace daybreak {
namespace {

#ifdef _WIN32
constexpr std::array kLibraryNames{"webgpu_dawn.dll", "wgpu_native.dll"};
#elif defined(__APPLE__)
constexpr std::array kLibraryNames{"libwebgpu_dawn.dylib", "libwgpu_native.dylib"};
#else
constexpr std::array kLibraryNames{"libwebgpu_dawn.so", "libwebgpu_dawn.so.0", "libwgpu_native.so"};
#endif

// A shared library that stays loaded: WebGPU implementations keep threads and driver state.
class Library {
 public:
  // Returns the loader's message, or "" on success.
  std::string Open(const std::string& path) {
#ifdef _WIN32
    handle_ = LoadLibraryA(path.c_str());
    return handle_ ? "" : "error " + std::to_string(GetLastError());
#else
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    return handle_ ? "" : dlerror();
#endif
  }
  template <class F>
  void Find(F*& function, const std::string& name) const {
#ifdef _WIN32
    function = reinterpret_cast<F*>(GetProcAddress(static_cast<HMODULE>(handle_), name.c_str()));
#else
    function = reinterpret_cast<F*>(dlsym(handle_, name.c_str()));
#endif
  }

 private:
  void* handle_ = nullptr;
};

std::filesystem::path PluginFolder() {
#ifdef _WIN32
  HMODULE module = nullptr;
  char path[MAX_PATH] = {};
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                     reinterpret_cast<const char*>(&PluginFolder), &module);
  GetModuleFileNameA(module, path, MAX_PATH);
  return std::filesystem::path(path).parent_path();
#else
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&PluginFolder), &info) == 0 || info.dli_fname == nullptr) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
#endif
}

// In search order: explicit choices come alone, since falling back from one would hide a mistake.
std::vector<std::string> Candidates(const std::string& path) {
  if (!path.empty()) return {path};
  if (const char* env = std::getenv("DAYBREAK_WEBGPU_LIBRARY"); env && *env) return {env};
  std::vector<std::string> list;
  for (const char* name : kLibraryNames) list.push_back((PluginFolder() / name).string());
  for (const char* name : kLibraryNames) list.push_back(name);
  return list;
}

DeviceClass ClassOf(uint32_t vendor_id, bool software) {
  static const std::map<uint32_t, DeviceClass> kClasses{
      {0x10de, DeviceClass::kNvidia}, {0x1002, DeviceClass::kAmd},      {0x8086, DeviceClass::kIntel},
      {0x106b, DeviceClass::kApple},  {0x5143, DeviceClass::kQualcomm},
  };
  if (software) return DeviceClass::kSoftware;
  const auto it = kClasses.find(vendor_id);
  return it == kClasses.end() ? DeviceClass::kOther : it->second;
}

const char* NameOf(WGPUBackendType backend) {
  switch (backend) {
    case WGPUBackendType_Vulkan:
      return "Vulkan";
    case WGPUBackendType_Metal:
      return "Metal";
    case WGPUBackendType_D3D12:
      return "D3D12";
    default:
      return "other";
  }
}

DType TypeOf(uint32_t component) {
  switch (static_cast<dawn::Component>(component)) {
    case dawn::Component::kF32:
      return DType::kF32;
    case dawn::Component::kF16:
      return DType::kF16;
    case dawn::Component::kU32:
      return DType::kU32;
    case dawn::Component::kI32:
      return DType::kI32;
    case dawn::Component::kU8:
      return DType::kU8;
    case dawn::Component::kI8:
      return DType::kI8;
  }
  return DType::kUndefined;
}

constexpr const char* kAdapterToggles[] = {"allow_unsafe_apis", "use_vulkan_memory_model",
                                           "vulkan_enable_f16_on_nvidia"};

// How an adapter is asked for again when its device is opened: a request consumes the adapter object.
struct AdapterRequest {
  WGPUBackendType backend = WGPUBackendType_Undefined;
  WGPUPowerPreference power = WGPUPowerPreference_Undefined;
  size_t native_index = 0;  // wgpu-native: its place in the enumeration
};

class WebGpuImpl final : public WebGpu {
 public:
  explicit WebGpuImpl(const std::string& path);

  const std::string& Library() const override { return path_; }
  const std::string& Implementation() const override { return implementation_; }
  const std::vector<Adapter>& Adapters() const override { return adapters_; }
  std::shared_ptr<Device> Open(size_t adapter, const DeviceOptions& options) override;

 private:
  void Resolve();
  void CreateInstance();
  void ListAdapters();
  AdapterHandle Request(const AdapterRequest& request) const;
  DeviceInfo Describe(WGPUAdapter adapter) const;
  Gpu OpenGpu(size_t index, const DeviceOptions& options, DeviceSupport& support, DeviceInfo& info);
  std::string CacheKey(const DeviceInfo& info) const;

  daybreak::Library library_;
  std::string path_, implementation_;
  bool dawn_ = true;
  WGPUInstance instance_ = nullptr;
  std::vector<Adapter> adapters_;
  std::vector<AdapterRequest> requests_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<DeviceImpl>> open_;
};

WebGpuImpl::WebGpuImpl(const std::string& path) {
  std::string tried;
  for (const std::string& candidate : Candidates(path)) {
    const std::string error = library_.Open(candidate);
    if (error.empty()) {
      path_ = candidate;
      break;
    }
    tried += "\n  " + candidate + ": " + error;
  }
  Check(!path_.empty(),
        "No WebGPU library could be loaded. Set the option webgpuLibrary or the environment variable "
        "DAYBREAK_WEBGPU_LIBRARY to libwebgpu_dawn or libwgpu_native. Tried:",
        tried);
  Resolve();
  CreateInstance();
  ListAdapters();
}

void WebGpuImpl::Resolve() {
  library_.Find(wgpu.DevicePoll, "wgpuDevicePoll");
  library_.Find(wgpu.InstanceEnumerateAdapters, "wgpuInstanceEnumerateAdapters");
  library_.Find(wgpu.ComputePassEncoderWriteTimestamp, "wgpuComputePassEncoderWriteTimestamp");
  dawn_ = wgpu.DevicePoll == nullptr;
  implementation_ = dawn_ ? "Dawn" : "wgpu-native";
  std::string missing;
#define X(name)                           \
  library_.Find(wgpu.name, "wgpu" #name); \
  if (wgpu.name == nullptr) missing += " wgpu" #name;
  DAYBREAK_WGPU_FUNCTIONS(X)
#undef X
  Check(missing.empty(), "The WebGPU library ", path_, " lacks functions of the current webgpu.h:", missing);
}

void WebGpuImpl::CreateInstance() {
  const WGPUInstanceFeatureName features[] = {WGPUInstanceFeatureName_TimedWaitAny};
  dawn::Toggles toggles{
      {nullptr, dawn::kTogglesType}, std::size(kAdapterToggles), kAdapterToggles, 0, nullptr};
  const WGPUInstanceDescriptor descriptor{dawn_ ? &toggles.chain : nullptr, dawn_ ? std::size(features) : 0,
                                          features, nullptr};
  instance_ = wgpu.CreateInstance(&descriptor);
  Check(instance_ != nullptr, "The WebGPU library ", path_, " created no instance.");
}

AdapterHandle WebGpuImpl::Request(const AdapterRequest& request) const {
  if (!dawn_) {
    std::vector<WGPUAdapter> all(wgpu.InstanceEnumerateAdapters(instance_, nullptr, nullptr));
    wgpu.InstanceEnumerateAdapters(instance_, nullptr, all.data());
    std::vector<AdapterHandle> owned;
    for (WGPUAdapter adapter : all) owned.emplace_back(adapter);
    return request.native_index < owned.size() ? std::move(owned[request.native_index]) : AdapterHandle();
  }
  struct Result {
    WGPUAdapter adapter = nullptr;
    std::atomic<bool> done = false;
  } result;
  dawn::Toggles toggles{
      {nullptr, dawn::kTogglesType}, std::size(kAdapterToggles), kAdapterToggles, 0, nullptr};
  WGPURequestAdapterOptions options{};
  options.nextInChain = &toggles.chain;
  options.featureLevel = WGPUFeatureLevel_Core;
  options.powerPreference = request.power;
  options.backendType = request.backend;
  const WGPURequestAdapterCallbackInfo info{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPURequestAdapterStatus status, WGPUAdapter adapter, WGPUStringView, void* user, void*) {
        auto* out = static_cast<Result*>(user);
        if (status == WGPURequestAdapterStatus_Success) out->adapter = adapter;
        out->done = true;
      },
      &result, nullptr};
  Gpu gpu;
  gpu.instance = instance_;
  gpu.Wait(wgpu.InstanceRequestAdapter(instance_, &options, info), result.done);
  return AdapterHandle(result.adapter);
}

DeviceInfo WebGpuImpl::Describe(WGPUAdapter adapter) const {
  dawn::SubgroupMatrixConfigs configs{{nullptr, dawn::kSubgroupMatrixConfigsType}, 0, nullptr};
  const bool matrix = dawn_ && wgpu.AdapterHasFeature(adapter, dawn::kSubgroupMatrix);
  WGPUAdapterInfo raw{};
  if (matrix) raw.nextInChain = &configs.chain;
  wgpu.AdapterGetInfo(adapter, &raw);
  WGPULimits limits{};
  wgpu.AdapterGetLimits(adapter, &limits);

  DeviceInfo info;
  info.name = ToString(raw.device);
  info.vendor = ToString(raw.vendor);
  info.architecture = ToString(raw.architecture);
  info.driver = ToString(raw.description);
  info.backend = NameOf(raw.backendType);
  info.vendor_id = raw.vendorID;
  info.device_id = raw.deviceID;
  info.software = raw.adapterType == WGPUAdapterType_CPU;
  info.device_class = ClassOf(raw.vendorID, info.software);
  const auto has = [&](WGPUFeatureName f) { return wgpu.AdapterHasFeature(adapter, f) != WGPU_FALSE; };
  info.f16 = has(WGPUFeatureName_ShaderF16);
  info.subgroups = has(dawn_ ? WGPUFeatureName_Subgroups : native::kSubgroup) && raw.subgroupMinSize != 0;
  // wgpu-native resolves timestamps in ticks of a length that only its own extension tells, so it is not
  // timed.
  info.timestamps = dawn_ && has(WGPUFeatureName_TimestampQuery);
  info.timestamps_in_pass = info.timestamps && has(dawn::kTimestampsInsidePasses) &&
                            wgpu.ComputePassEncoderWriteTimestamp != nullptr;
  info.immediates = dawn_ && limits.maxImmediateSize >= kMaxImmediateBytes;
  if (info.subgroups) {
    info.subgroup_min = raw.subgroupMinSize;
    info.subgroup_max = raw.subgroupMaxSize;
  }
  for (size_t i = 0; matrix && i < configs.count; ++i) {
    const dawn::SubgroupMatrixConfig& c = configs.configs[i];
    const MatrixConfig config{TypeOf(c.component), TypeOf(c.result), c.m, c.n, c.k};
    const bool plausible = config.component != DType::kUndefined && config.result != DType::kUndefined &&
                           std::max({c.m, c.n, c.k}) <= 256 && std::min({c.m, c.n, c.k}) >= 1;
    if (!plausible) {  // another Dawn with another layout of the struct: do without matrices rather than
                       // guess
      info.matrices.clear();
      break;
    }
    info.matrices.push_back(config);
  }
  info.max_invocations = limits.maxComputeInvocationsPerWorkgroup;
  info.max_workgroup_x = limits.maxComputeWorkgroupSizeX;
  info.workgroup_bytes = limits.maxComputeWorkgroupStorageSize;
  info.max_storage_buffers = limits.maxStorageBuffersPerShaderStage;
  info.max_binding = limits.maxStorageBufferBindingSize;
  info.max_buffer = limits.maxBufferSize;
  info.binding_alignment =
      std::max(limits.minStorageBufferOffsetAlignment, limits.minUniformBufferOffsetAlignment);
  wgpu.AdapterInfoFreeMembers(raw);
  return info;
}

void WebGpuImpl::ListAdapters() {
  std::vector<AdapterRequest> requests;
  if (dawn_) {
#ifdef _WIN32
    constexpr std::array kBackends{WGPUBackendType_D3D12, WGPUBackendType_Vulkan};
#elif defined(__APPLE__)
    constexpr std::array kBackends{WGPUBackendType_Metal};
#else
    constexpr std::array kBackends{WGPUBackendType_Vulkan};
#endif
    for (const WGPUBackendType backend : kBackends)
      for (const auto power : {WGPUPowerPreference_HighPerformance, WGPUPowerPreference_LowPower})
        requests.push_back({backend, power});
  } else {
    const size_t count = wgpu.InstanceEnumerateAdapters(instance_, nullptr, nullptr);
    for (size_t i = 0; i < count; ++i) requests.push_back({.native_index = i});
  }
  std::vector<std::pair<DeviceInfo, AdapterRequest>> found;
  for (const AdapterRequest& request : requests) {
    const AdapterHandle adapter = Request(request);
    if (!adapter) continue;
    const DeviceInfo info = Describe(adapter.get());
    if (info.backend == "other") continue;
    const auto same = [&](const auto& f) {
      return f.first.vendor_id == info.vendor_id && f.first.device_id == info.device_id &&
             f.first.name == info.name;
    };
    if (std::none_of(found.begin(), found.end(), same)) found.emplace_back(info, request);
  }
  std::stable_partition(found.begin(), found.end(), [](const auto& f) { return !f.first.software; });
  for (auto& [info, request] : found) {
    adapters_.push_back({info, adapters_.size()});
    requests_.push_back(request);
  }
  open_.resize(adapters_.size());
}

std::shared_ptr<Device> WebGpuImpl::Open(size_t index, const DeviceOptions& options) {
  std::lock_guard lock(mutex_);
  Check(index < adapters_.size(), "There is no adapter ", index, "; ", implementation_, " reports ",
        adapters_.size(), ".");
  if (auto device = open_[index].lock(); device && !device->Lost()) return device;
  DeviceInfo info = adapters_[index].info;
  auto support = std::make_unique<DeviceSupport>(options.cache_dir, CacheKey(info));
  Gpu gpu = OpenGpu(index, options, *support, info);
  auto device = std::make_shared<DeviceImpl>(std::move(gpu), info, options, std::move(support));
  open_[index] = device;
  return device;
}

// What must agree for a cached pipeline to be used: the library's build, the driver and the device. Dawn adds
// the shader and its own state.
std::string WebGpuImpl::CacheKey(const DeviceInfo& info) const {
  std::error_code error;
  const auto size = std::filesystem::file_size(path_, error);
  return Join(implementation_, "|", error ? 0 : size, "|", info.backend, "|", info.vendor_id, "|",
              info.device_id, "|", info.driver);
}

Gpu WebGpuImpl::OpenGpu(size_t index, const DeviceOptions& options, DeviceSupport& support,
                        DeviceInfo& info) {
  const AdapterHandle adapter = Request(requests_[index]);
  Check(static_cast<bool>(adapter), "Adapter ", index, " (", info.name, ") is no longer there.");
  return OpenDevice({instance_, adapter.get(), dawn_, options, support}, info);
}

}  // namespace

WebGpu& WebGpu::Load(const std::string& path) {
  static std::mutex mutex;
  static WebGpuImpl* loaded = nullptr;  // never destroyed: drivers may already be gone when statics are
  static std::string loaded_path;
  std::lock_guard lock(mutex);
  if (loaded == nullptr) {
    loaded = new WebGpuImpl(path);
    loaded_path = path;
  }
  Check(path.empty() || path == loaded_path || path == loaded->Library(), "The WebGPU library ",
        loaded->Library(), " is loaded already; this process cannot load ", path, " as well.");
  return *loaded;
}

}  // namespace daybreak
