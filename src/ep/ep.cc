#include "ep/ep.h"

#include "ep/allocator.h"
#include "ep/capability.h"
#include "ep/capture.h"
#include "ep/compiled.h"
#include "ep/memory_file.h"
#include "ep/profiler.h"
#include "ep/tuning_file.h"

namespace daybreak {
namespace {

struct Ep : OrtEp, Home {
  Ep(std::unique_ptr<Session> given, const OrtKernelRegistry* kernels)
      : OrtEp{}, session(std::move(given)), registry(kernels), capture(*session), profiling(*session) {
    ort_version_supported = kOrtApi;
    SetGraphCallbacks();
    SetRunCallbacks();
    SetCaptureCallbacks();
  }

  static Ep& Of(OrtEp* self) { return Enter<Ep>(self); }
  static const Ep& Of(const OrtEp* self) { return Enter<const Ep>(self); }

  void SetGraphCallbacks() {
    GetName = [](const OrtEp* self) noexcept { return Of(self).session->ep_name.c_str(); };
    OrtEp::GetCapability = [](OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* support) noexcept {
      return Guard([&] { ClaimNodes(*Of(self).session, graph, support); });
    };
    Compile = [](OrtEp* self, const OrtGraph**, const OrtNode** fused, size_t count,
                 OrtNodeComputeInfo** compiled, OrtNode**) noexcept {
      return Guard([&] { CompileNodes(*Of(self).session, fused, count, compiled); });
    };
    ReleaseNodeComputeInfos = [](OrtEp*, OrtNodeComputeInfo** compiled, size_t count) noexcept {
      ReleaseNodes(compiled, count);
    };
    GetKernelRegistry = [](OrtEp* self, const OrtKernelRegistry** out) noexcept {
      *out = Of(self).registry;
      return static_cast<OrtStatus*>(nullptr);
    };
    GetPreferredDataLayout = [](OrtEp*, OrtEpDataLayout* out) noexcept {
      *out = OrtEpDataLayout_NCHW;
      return static_cast<OrtStatus*>(nullptr);
    };
    CreateAllocator = [](OrtEp* self, const OrtMemoryInfo* info, OrtAllocator** out) noexcept {
      return Guard([&] { *out = MakeAllocator(Of(self).session->slot, info, Of(self).session->device); });
    };
    GetDefaultMemoryDevice = [](const OrtEp* self, const OrtMemoryDevice** out) noexcept {
      const OrtMemoryInfo* memory = Of(self).session->slot->memory();
      *out = api.ep->MemoryInfo_GetMemoryDevice(memory);
      return static_cast<OrtStatus*>(nullptr);
    };
    // What uploads left in the queue starts before the first run.
    OnSessionInitializationEnd = [](OrtEp* self) noexcept {
      return Guard([&] {
        Of(self).session->device->Flush();
        WriteMemoryFile(*Of(self).session);
        WriteTuningFile(*Of(self).session);
      });
    };
  }

  void SetRunCallbacks() {
    // Runs of one session share the state of the run and of captures.
    IsConcurrentRunSupported = [](OrtEp*, bool* out) noexcept {
      *out = false;
      return static_cast<OrtStatus*>(nullptr);
    };
    OnRunStart = [](OrtEp* self, const OrtRunOptions* options) noexcept {
      return Guard([&] { Of(self).Start(options); });
    };
    OnRunEnd = [](OrtEp* self, const OrtRunOptions*, bool) noexcept {
      return Guard([&] { Of(self).End(); });
    };
    Sync = [](OrtEp* self) noexcept { return Guard([&] { Of(self).session->device->Wait(); }); };
    CreateProfiler = [](OrtEp* self, OrtEpProfilerImpl** out) noexcept {
      return Guard([&] { *out = Of(self).profiling.MakeProfiler(); });
    };
  }

  void SetCaptureCallbacks() {
    IsGraphCaptureEnabled = [](const OrtEp* self) noexcept { return Of(self).session->capture; };
    IsGraphCaptured = [](const OrtEp* self, int id) noexcept { return Of(self).capture.Has(id); };
    ReplayGraph = [](OrtEp* self, int id) noexcept {
      return Guard([&] { Of(self).capture.Replay(id, Of(self).profiling.Active()); });
    };
    GetGraphCaptureNodeAssignmentPolicy = [](const OrtEp*) noexcept {
      return OrtGraphCaptureNodeAssignmentPolicy_ALLOW_CPU_FOR_SHAPES;
    };
    ReleaseCapturedGraph = [](OrtEp* self, int id) noexcept {
      return Guard([&] { Of(self).capture.Release(id); });
    };
  }

  void Start(const OrtRunOptions* options) {
    session->run = {};
    session->run.timings = profiling.Active();
    session->run.model = session->model;
    capture.Begin(options);
    StartTuning(options);
    session->device->SetRunContext(&session->run);
  }

  void StartTuning(const OrtRunOptions* options) {
    Tuning& tuning = session->tuning;
    const char* wanted = options ? api.ort->GetRunConfigEntry(options, "variants") : nullptr;
    tuning.wanted = wanted ? wanted : "";
    // A recording may be replayed in a run that is timed.
    tuning.noting = !session->run.timings.empty() || session->run.recording ||
                    !session->options.Text("tuningFile").empty();
    tuning.problems.clear();
  }

  // Hands the rest of the run to the GPU and does not wait: what the caller reads waits for itself, in order.
  void End() {
    session->device->SetRunContext(nullptr);
    capture.End();
    session->run = {};
    session->device->Flush();
    session->device->Remember(session->model);
    WriteMemoryFile(*session);
    WriteTuningFile(*session);
  }

  std::unique_ptr<Session> session;
  const OrtKernelRegistry* registry;
  Capture capture;
  Profiling profiling;
};

}  // namespace

Session& SessionOf(const OrtEp* ep) { return *static_cast<const Ep*>(ep)->session; }

OrtEp* MakeEp(std::unique_ptr<Session> session, const OrtKernelRegistry* registry) {
  return new Ep(std::move(session), registry);
}

void DeleteEp(OrtEp* ep) noexcept { delete &Enter<Ep>(ep); }

}  // namespace daybreak
