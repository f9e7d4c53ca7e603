#include "ep/factory.h"

#include <algorithm>
#include <fstream>

#include "ep/allocator.h"
#include "ep/devices.h"
#include "ep/ep.h"
#include "ep/registry.h"
#include "ep/transfer.h"
#include "ep/tuning_file.h"

namespace daybreak {
namespace {

constexpr const char* kOfficialName = "WebGpuExecutionProvider";
constexpr const char* kOwnName = "DaybreakExecutionProvider";

std::string Lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// The library that the environment asks for ("ep_factory.<name in lower case>.webgpuLibrary"), or "".
std::string LibraryOption(const std::string& name) {
  const auto entries = Make<OrtKeyValuePairs>(api.ep->GetEnvConfigEntries);
  const char* path =
      api.ort->GetKeyValue(entries.get(), ("ep_factory." + Lower(name) + ".webgpuLibrary").c_str());
  return path ? path : "";
}

struct Factory : OrtEpFactory, Home {
  Factory(const char* registered_name, const OrtLogger* default_logger)
      : OrtEpFactory{},
        name(std::string_view(registered_name) == kOwnName ? kOwnName : kOfficialName),
        logger(default_logger),
        gpu(WebGpu::Load(LibraryOption(name))) {
    const uint32_t vendor = name == kOwnName ? kOwnVendor : kSharedVendor;
    for (const Adapter& adapter : gpu.Adapters())
      slots.push_back(std::make_shared<Slot>(gpu, adapter, vendor));
    if (slots.empty())
      Log(logger, ORT_LOGGING_LEVEL_WARNING,
          Join("Daybreak finds no GPU: ", gpu.Implementation(), " (", gpu.Library(),
               ") reports no adapter. On Linux it ",
               "needs a Vulkan driver; Mesa's llvmpipe (mesa-vulkan-drivers) runs without a GPU."));
    ort_version_supported = kOrtApi;
    SetDescription();
    SetMakers();
  }

  static Factory& Of(OrtEpFactory* self) { return Enter<Factory>(self); }

  void SetDescription() {
    GetName = [](const OrtEpFactory* self) noexcept { return Enter<const Factory>(self).name.c_str(); };
    GetVendor = [](const OrtEpFactory*) noexcept { return "Daybreak"; };
    GetVendorId = [](const OrtEpFactory*) noexcept { return uint32_t{0}; };
    GetVersion = [](const OrtEpFactory*) noexcept { return DAYBREAK_VERSION; };
    IsStreamAware = [](const OrtEpFactory*) noexcept { return false; };
    GetSupportedDevices = [](OrtEpFactory* self, const OrtHardwareDevice* const* devices, size_t count,
                             OrtEpDevice** out, size_t room, size_t* made) noexcept {
      return Guard([&] {
        const auto list =
            MakeDevices(self, Of(self).gpu, Of(self).slots, {devices, count}, room, Of(self).hardware);
        std::copy(list.begin(), list.end(), out);
        *made = list.size();
      });
    };
  }

  void SetMakers() {
    OrtEpFactory::CreateEp =
        [](OrtEpFactory* self, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const* metadata,
           size_t count, const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** ep) noexcept {
          return Guard([&] { *ep = Of(self).NewEp({metadata, count}, options, logger); });
        };
    ReleaseEp = [](OrtEpFactory*, OrtEp* ep) noexcept { DeleteEp(ep); };
    CreateAllocator = [](OrtEpFactory* self, const OrtMemoryInfo* info, const OrtKeyValuePairs*,
                         OrtAllocator** out) noexcept {
      return Guard([&] {
        const Slots& slots = Of(self).slots;
        const OrtMemoryDevice* device = api.ep->MemoryInfo_GetMemoryDevice(info);
        for (const auto& slot : slots)
          if (slot->Has(device)) return void(*out = MakeAllocator(slot, info, nullptr));
        Fail("The memory info is not of a device of this EP.");
      });
    };
    ReleaseAllocator = [](OrtEpFactory*, OrtAllocator* allocator) noexcept { DeleteAllocator(allocator); };
    CreateDataTransfer = [](OrtEpFactory* self, OrtDataTransferImpl** out) noexcept {
      return Guard([&] { *out = MakeTransfer(Of(self).slots); });
    };
  }

  // The options that the session gives under "ep.<name in lower case>.".
  Options ReadOptions(const OrtSessionOptions* session_options, const OrtLogger* session_logger) const {
    const auto entries = Make<OrtKeyValuePairs>(api.ort->GetSessionOptionsConfigEntries, session_options);
    const std::string prefix = "ep." + Lower(name) + ".";
    Options::Pairs given;
    for (const auto& [key, value] : ReadPairs(*entries))
      if (key.starts_with(prefix)) given.emplace_back(key.substr(prefix.size()), value);
    try {
      return Options(given,
                     [&](const std::string& text) { Log(session_logger, ORT_LOGGING_LEVEL_WARNING, text); });
    } catch (const std::exception& e) {
      throw OrtError(ORT_INVALID_ARGUMENT, e.what());
    }
  }

  // ORT plans memory in one block and runs nodes in parallel only for names that it does not know.
  void CheckSession(const OrtSessionOptions* options) const {
    if (name == kOfficialName) return;
    if (Get<int>(api.ort->GetMemPatternEnabled, options) != 0)
      throw OrtError(
          ORT_INVALID_ARGUMENT,
          Join(name,
               " needs the session option enable_mem_pattern = false: a GPU buffer cannot be written "
               "and read through parts of it in one kernel."));
    if (Get<ExecutionMode>(api.ort->GetSessionExecutionMode, options) != ORT_SEQUENTIAL)
      throw OrtError(ORT_INVALID_ARGUMENT, Join(name, " needs the sequential execution mode."));
  }

  OrtEp* NewEp(std::span<const OrtKeyValuePairs* const> metadata, const OrtSessionOptions* options,
               const OrtLogger* session_logger) {
    if (metadata.size() != 1)
      throw OrtError(ORT_INVALID_ARGUMENT,
                     Join("A session takes one device of ", name, ", not ", metadata.size(), "."));
    CheckSession(options);
    auto session = std::make_unique<Session>();
    session->ep_name = name;
    session->logger = session_logger;
    session->options = ReadOptions(options, session_logger);
    session->capture = session->options.Flag("enableGraphCapture");
    const auto entries = Make<OrtKeyValuePairs>(api.ort->GetSessionOptionsConfigEntries, options);
    const char* strict = api.ort->GetKeyValue(entries.get(), "session.disable_cpu_ep_fallback");
    session->cpu_fallback = strict == nullptr || std::string_view(strict) != "1";
    if (const std::string& library = session->options.Text("webgpuLibrary"); !library.empty())
      WebGpu::Load(library);
    if (const std::string& path = session->options.Text("explainFile"); !path.empty())
      Check(std::ofstream(path).good(), "The option explainFile names '", path,
            "', which cannot be written.");
    const OrtKernelRegistry* registry = Registry(session->capture);
    session->slot = SlotOf(slots, metadata[0]);
    session->device = session->slot->OpenSession(session->options.ForDevice(), session_logger);
    LoadTuning(*session);
    return MakeEp(std::move(session), registry);
  }

  const OrtKernelRegistry* Registry(bool capture) {
    std::lock_guard lock(mutex);
    KernelRegistry& registry = registries[capture];
    if (!registry.kernels) registry = MakeRegistry(name.c_str(), capture, logger);
    return registry.kernels.get();
  }

  const std::string name;
  const OrtLogger* logger;
  WebGpu& gpu;
  Slots slots;
  std::vector<Own<OrtHardwareDevice>> hardware;
  std::mutex mutex;
  KernelRegistry registries[2];  // without and with graph capture
};

}  // namespace

OrtEpFactory* MakeFactory(const char* registered_name, const OrtLogger* logger) {
  return new Factory(registered_name, logger);
}

void DeleteFactory(OrtEpFactory* factory) noexcept { delete &Enter<Factory>(factory); }

}  // namespace daybreak
