// GPU time of each dispatch, from timestamp queries. Not thread-safe: the device's lock guards it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gpu/api.h"
#include "gpu/device.h"

namespace daybreak {

class Timer {
 public:
  // `capacity`: the most dispatches of one submit.
  Timer(const Gpu& gpu, const DeviceInfo& info, uint32_t capacity);
  ~Timer();

  bool Available() const { return in_pass_ || at_pass_; }
  // True when a timed dispatch needs a compute pass of its own (no timestamps inside passes).
  bool NeedsOwnPass() const { return !in_pass_; }

  // Brackets one dispatch of the open pass (in-pass timestamps).
  void Begin(WGPUComputePassEncoder pass);
  void End(WGPUComputePassEncoder pass, const TimedDispatch& label, const std::vector<Timings*>& timings);
  // The timestamps of a pass that holds one dispatch only; the label follows with Label.
  WGPUPassTimestampWrites PassWrites();
  void Label(const TimedDispatch& label, const std::vector<Timings*>& timings);

  // Adds the commands that bring the timestamps back; called before the encoder is finished.
  void Resolve(WGPUCommandEncoder encoder);
  // Hands out what has been submitted; the GPU must have finished it.
  void Collect();

 private:
  struct Entry {
    TimedDispatch label;
    std::vector<Timings*> timings;
  };
  struct Batch {
    QuerySetHandle queries;
    BufferHandle resolved, readback;
    std::vector<Entry> entries;
  };
  Batch& Current();
  void Calibrate();
  std::vector<uint64_t> ReadBack(const Batch& batch, size_t count);

  const Gpu& gpu_;
  const uint32_t capacity_;
  const bool in_pass_, at_pass_;
  std::vector<std::unique_ptr<Batch>> idle_;
  std::vector<std::unique_ptr<Batch>> submitted_;
  std::unique_ptr<Batch> current_;
  std::optional<int64_t> cpu_minus_gpu_ns_;  // steady clock minus GPU clock
};

}  // namespace daybreak
