// Commands to the GPU: encoding, submitting, transfers. Not thread-safe: the encoder (gpu/encoder.h) guards
// it.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "gpu/memory.h"
#include "gpu/readahead.h"
#include "gpu/recorder.h"
#include "gpu/staging.h"
#include "gpu/timer.h"

namespace daybreak {

class Queue {
 public:
  // `max_pending`: commands in one submit. The gate is the device's lock: Wait, Write and Read open it while
  // they wait for the GPU or copy.
  Queue(const Gpu& gpu, Gate& gate, const DeviceInfo& info, uint32_t max_pending);

  // A command whose pipeline is still compiling waits, with all that follow it, until the next submit at the
  // latest. `label` is needed only when `timings` is not empty: then they collect the dispatch's time.
  void Encode(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings);
  // Submits what is encoded, with copies of what the caller is likely to read next.
  void EndRun();
  // A run that EncodeAhead encoded, with its end.
  void SubmitRun(std::vector<Encoded> pieces);
  // Encodes the commands in as many pieces as it takes submits. Dispatches are not timed. Leaves the queue
  // alone: another thread may use it meanwhile, where the implementation takes calls from several.
  std::vector<Encoded> EncodeAhead(std::span<const HeldCommand> commands) const;
  // Submits what is encoded and waits for the GPU. Others may use the queue meanwhile.
  void Wait();
  // Hands out the timings of what the GPU has done.
  void Collect() { timer_.Collect(); }

  // In order with the commands. Offsets and sizes are multiples of 4. Read waits for the GPU and takes at
  // most kMaxRead bytes; others may use the queue meanwhile.
  static constexpr size_t kMaxRead = 64 << 20;
  void Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes);
  void Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes);
  // Drops memory for transfers that is not in use.
  void Trim();

  // The buffer that holds parameters above the immediate limit; bound with a dynamic offset.
  WGPUBuffer UniformBuffer() const { return uniform_buffer_.get(); }

 private:
  struct Deferred {
    HeldCommand held;
    std::optional<TimedDispatch> label;
    std::vector<Timings*> timings;
  };
  void EncodeNow(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings);
  void EncodeTimed(const DispatchCommand& dispatch, const TimedDispatch& label,
                   const std::vector<Timings*>& timings);
  void EncodeDeferred();
  void SubmitEncoded();
  // `then` (may be null) goes with it.
  void SubmitNow(const Encoded& piece, WGPUCommandBuffer then = nullptr);
  void Flush();
  void SubmitAll();
  void WaitSubmitted();
  void ComparePaces(std::chrono::steady_clock::time_point wait_began);

  const Gpu& gpu_;
  Gate& gate_;
  Staging staging_;
  ReadAhead reads_;
  const uint32_t max_pending_;
  const uint32_t uniform_step_;
  Timer timer_;
  Recorder recorder_;
  Burst burst_;
  // Of the last replay; the other thread that encodes ahead looks at it.
  std::atomic<bool> gpu_is_slower_ = false;
  std::optional<std::chrono::steady_clock::time_point> replay_began_;  // until it is waited for
  std::chrono::nanoseconds replay_submitting_{0};
  std::vector<Deferred> deferred_;

  BufferHandle uniform_buffer_;  // written in front of each submit, so that one buffer serves all
  uint64_t written_ = 0;         // bytes since the last wait; bounds the implementation's staging memory

  // Commands and writes that change the GPU's memory, counted. A thread that has waited with the gate open
  // looks at them while the encoder's thread goes on.
  std::atomic<uint64_t> issued_ = 0;
  uint64_t waited_ = 0;                // of them known to be done
  std::atomic<uint64_t> run_end_ = 0;  // of them issued when the last run ended
};

}  // namespace daybreak
