// GPU timings as events of ONNX Runtime's profiles.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "ep/session.h"

namespace daybreak {

// One profile (of a session, or of a run): the timings that it collects while it is on.
struct Profile {
  Timings timings;
  bool active = false;
};

// The profiles of one session.
class Profiling {
 public:
  explicit Profiling(Session& session) : session_(session) {}

  // A new profiler; ORT releases it. On a device without timestamps it warns and stays empty.
  OrtEpProfilerImpl* MakeProfiler();
  // Where the dispatches of the next run are timed; empty when nothing profiles.
  std::vector<Timings*> Active();

 private:
  Session& session_;
  std::vector<std::weak_ptr<Profile>> profiles_;
};

}  // namespace daybreak
