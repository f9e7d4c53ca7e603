// Commands to the GPU: encoding, submitting, transfers. Not thread-safe: the encoder (gpu/encoder.h) guards
// it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "gpu/memory.h"
#include "gpu/pipelines.h"
#include "gpu/staging.h"
#include "gpu/timer.h"

namespace daybreak {

// One dispatch, resolved and ready to be encoded any number of times.
struct DispatchCommand {
  const Pipeline* pipeline = nullptr;
  WGPUBindGroup group = nullptr;
  FixedVec<uint8_t, 256> params;
  uint32_t grid[3] = {};
  WGPUBuffer indirect = nullptr;  // replaces `grid`
  uint64_t indirect_offset = 0;
};

// Offsets and bytes are multiples of 4.
struct CopyCommand {
  WGPUBuffer from = nullptr, to = nullptr;
  uint64_t from_offset = 0, to_offset = 0, bytes = 0;
};

using Command = std::variant<DispatchCommand, CopyCommand>;

// A command with references to what it names.
struct HeldCommand {
  Command command;
  BindGroupHandle group;
  BufferHandle buffers[2];
};
HeldCommand Hold(const Command& command);

class Queue {
 public:
  // Commands that were encoded before they are submitted, and the parameters that they find in
  // UniformBuffer().
  struct Encoded {
    CommandBufferHandle commands;
    std::vector<uint8_t> uniforms;
  };

  // `max_pending`: commands in one submit. The gate is the device's lock: Wait, Write and Read open it while
  // they wait for the GPU or copy.
  Queue(const Gpu& gpu, Gate& gate, const DeviceInfo& info, uint32_t max_pending);

  // A command whose pipeline is still compiling waits, with all that follow it, until the next submit at the
  // latest. `label` is needed only when `timings` is not empty: then they collect the dispatch's time.
  void Encode(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings);
  // Submits what is encoded. The next burst of commands starts with a short submit, so that the GPU begins
  // early, and goes on with longer ones, each encoded while the last is computed.
  void Flush();
  // Encodes what `encode` gives to Encode, in as many pieces as it takes submits, for Submit to hand to the
  // GPU later. Dispatches are not timed.
  std::vector<Encoded> EncodeAhead(const std::function<void()>& encode);
  void Submit(std::vector<Encoded> pieces);
  // Flushes and waits for the GPU. Others may use the queue meanwhile.
  void Wait();
  // Hands out the timings of what the GPU has done.
  void Collect() { timer_.Collect(); }

  // In order with the commands. Offsets and sizes are multiples of 4. Read waits for the GPU and takes at
  // most kMaxRead bytes; others may use the queue meanwhile.
  static constexpr size_t kMaxRead = 64 << 20;
  void Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes);
  void Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes);
  // Drops memory for transfers that is not in use.
  void Trim() { staging_.Trim(); }

  // The buffer that holds parameters above the immediate limit; bound with a dynamic offset.
  WGPUBuffer UniformBuffer() const { return uniform_buffer_.get(); }

 private:
  struct Deferred {
    HeldCommand held;
    std::optional<TimedDispatch> label;
    std::vector<Timings*> timings;
  };
  void EncodeNow(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings);
  void EncodeDeferred();
  void EnsureEncoder();
  void OpenPass(const WGPUPassTimestampWrites* writes = nullptr);
  void ClosePass();
  void EncodeDispatch(const DispatchCommand& command);
  uint32_t PushUniform(const FixedVec<uint8_t, 256>& params);
  void SubmitEncoded();
  void SubmitNow(const Encoded& piece);
  void SubmitAll();
  void WaitSubmitted();

  const Gpu& gpu_;
  Gate& gate_;
  Staging staging_;
  const uint32_t max_pending_;
  const uint32_t uniform_step_;
  Timer timer_;
  CommandEncoderHandle encoder_;
  ComputePassHandle pass_;
  std::vector<Deferred> deferred_;
  std::vector<Encoded>* ahead_ = nullptr;  // receives what would be submitted
  uint32_t pending_ = 0;                   // commands in the open encoder
  uint32_t submit_at_;                     // commands
  const Pipeline* pipeline_ = nullptr;     // set in the open pass
  WGPUBindGroup group_ = nullptr;

  BufferHandle uniform_buffer_;
  std::vector<uint8_t> uniforms_;  // written in front of each submit, so that one buffer serves all
  uint64_t written_ = 0;           // bytes since the last wait; bounds the implementation's staging memory
};

}  // namespace daybreak
