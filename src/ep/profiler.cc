#include "ep/profiler.h"

#include <chrono>

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

namespace daybreak {
namespace {

int64_t SteadyNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Profiler : OrtEpProfilerImpl, Home {
  Profiler(const Session& session, std::shared_ptr<Profile> kept)
      : OrtEpProfilerImpl{}, device(session.device), logger(session.logger), profile(std::move(kept)) {
    ort_version_supported = kOrtApi;
    Release = [](OrtEpProfilerImpl* self) noexcept { delete &Enter<Profiler>(self); };
    StartProfiling = [](OrtEpProfilerImpl* self, int64_t offset_ns) noexcept {
      return Guard([&] { Enter<Profiler>(self).Start(offset_ns); });
    };
    EndProfiling = [](OrtEpProfilerImpl* self, OrtProfilingEventsContainer* container) noexcept {
      return Guard([&] { Enter<Profiler>(self).Write(container); });
    };
  }

  void Start(int64_t offset_ns) {
    origin_ns = SteadyNow() - offset_ns;
    profile->active = device->Info().timestamps;
    if (!profile->active)
      Log(logger, ORT_LOGGING_LEVEL_WARNING, "The device has no timestamps: the profile shows no GPU times.");
  }

  void Write(OrtProfilingEventsContainer* container) {
    profile->active = false;
    device->Wait();  // Timings arrive with the work that they time.
    std::vector<Own<OrtProfilingEvent>> events;
    std::vector<const OrtProfilingEvent*> list;
    for (const TimedDispatch& event : profile->timings.Take()) {
      events.push_back(MakeEvent(event));
      list.push_back(events.back().get());
    }
    if (!list.empty()) Ok(api.ep->ProfilingEventsContainer_AddEvents(container, list.data(), list.size()));
  }

  Own<OrtProfilingEvent> MakeEvent(const TimedDispatch& event) const {
    const std::string grid = Join(event.grid.x, "x", event.grid.y, "x", event.grid.z);
    const std::string name = Join(event.node, "&", event.op, "&", event.shader);
    const std::string duration = std::to_string(event.duration_ns);
    const std::string pipeline = std::to_string(event.pipeline);
    const char* keys[] = {"node",   "op_name", "kernel",   "variant",    "problem",
                          "shapes", "grid",    "pipeline", "duration_ns"};
    const char* values[] = {event.node.c_str(),    event.op.c_str(),      event.shader.c_str(),
                            event.variant.c_str(), event.problem.c_str(), event.shapes.c_str(),
                            grid.c_str(),          pipeline.c_str(),      duration.c_str()};
    return Make<OrtProfilingEvent>(api.ep->CreateProfilingEvent, OrtProfilingEventCategory_KERNEL,
                                   static_cast<int32_t>(getpid()), int32_t{0}, name.c_str(),
                                   (event.start_ns - origin_ns) / 1000, event.duration_ns / 1000, keys,
                                   values, std::size(keys));
  }

  std::shared_ptr<Device> device;
  const OrtLogger* logger;
  std::shared_ptr<Profile> profile;
  int64_t origin_ns = 0;  // ORT's start of profiling on the steady clock
};

}  // namespace

OrtEpProfilerImpl* Profiling::MakeProfiler() {
  if (!session_.device->Info().timestamps) {
    Log(session_.logger, ORT_LOGGING_LEVEL_WARNING,
        "The device has no timestamps: profiles show no GPU times.");
    return nullptr;
  }
  auto profile = std::make_shared<Profile>();
  profiles_.push_back(profile);
  return new Profiler(session_, std::move(profile));
}

std::vector<Timings*> Profiling::Active() {
  std::vector<Timings*> active;
  std::erase_if(profiles_, [](const auto& profile) { return profile.expired(); });
  for (const auto& kept : profiles_)
    if (const auto profile = kept.lock(); profile && profile->active) active.push_back(&profile->timings);
  return active;
}

}  // namespace daybreak
