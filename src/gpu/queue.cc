#include "gpu/queue.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint32_t kFirst = 4, kFactor = 2;  // of commands that are encoded as they come
// Replays take the CPU so little that, where the GPU takes kSlower times as long, fewer and longer submits
// keep it as busy, and each costs it a pause: 8 % of the 1B model's replays on the H100. Where the GPU is
// faster than that, longer submits keep it waiting.
constexpr double kSlower = 1.9;
constexpr uint32_t kLongFirst = 8, kLongFactor = 3;
constexpr auto kNotice = std::chrono::microseconds(20);  // a wait that is shorter had nothing to wait for

constexpr size_t kMaxDeferred = 4096;
constexpr uint64_t kMaxWritten = 64 << 20;  // bytes written before the GPU is waited for
constexpr size_t kLeastStaged = 1 << 20;    // bytes above which a write goes through our own staging memory

using Clock = std::chrono::steady_clock;

struct Done {
  std::string error;
  std::atomic<bool> done = false;
};

}  // namespace

Queue::Queue(const Gpu& gpu, Gate& gate, const DeviceInfo& info, uint32_t max_pending)
    : gpu_(gpu),
      gate_(gate),
      staging_(gpu, gate),
      reads_(staging_),
      max_pending_(max_pending),
      uniform_step_(info.binding_alignment),
      timer_(gpu, info, max_pending),
      recorder_(gpu, uniform_step_),
      burst_({kFirst, kFactor, max_pending}) {
  const WGPUBufferDescriptor descriptor{nullptr, Str("params"),
                                        WGPUBufferUsage_Uniform | WGPUBufferUsage_CopyDst,
                                        Recorder::kUniformBytes, WGPU_FALSE};
  uniform_buffer_ = BufferHandle(wgpu.DeviceCreateBuffer(gpu.device.get(), &descriptor));
}

void Queue::Encode(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings) {
  ++issued_;
  const auto* dispatch = std::get_if<DispatchCommand>(&command);
  if (deferred_.empty() && (dispatch == nullptr || dispatch->pipeline->Ready()))
    return EncodeNow(command, label, timings);
  deferred_.push_back({Hold(command), label ? std::optional(*label) : std::nullopt, timings});
  if (deferred_.size() >= kMaxDeferred) EncodeDeferred();
}

// An Error drops the rest: a run whose pipeline failed has no use for its later commands.
void Queue::EncodeDeferred() {
  const std::vector<Deferred> list = std::exchange(deferred_, {});
  for (const Deferred& d : list) EncodeNow(d.held.command, d.label ? &*d.label : nullptr, d.timings);
}

void Queue::EncodeNow(const Command& command, const TimedDispatch* label,
                      const std::vector<Timings*>& timings) {
  if (recorder_.Full()) SubmitEncoded();
  const auto* dispatch = std::get_if<DispatchCommand>(&command);
  if (dispatch != nullptr && label != nullptr && !timings.empty() && timer_.Available())
    EncodeTimed(*dispatch, *label, timings);
  else
    recorder_.Encode(command);
  if (burst_.Ends(recorder_.Count())) SubmitEncoded();
}

void Queue::EncodeTimed(const DispatchCommand& dispatch, const TimedDispatch& label,
                        const std::vector<Timings*>& timings) {
  if (timer_.NeedsOwnPass()) {
    recorder_.ClosePass();
    const WGPUPassTimestampWrites writes = timer_.PassWrites();
    recorder_.Pass(&writes);
    recorder_.Dispatch(dispatch);
    recorder_.ClosePass();
    timer_.Label(label, timings);
  } else {
    timer_.Begin(recorder_.Pass());
    recorder_.Dispatch(dispatch);
    timer_.End(recorder_.Pass(), label, timings);
  }
}

void Queue::SubmitAll() {
  if (!deferred_.empty()) EncodeDeferred();
  SubmitEncoded();
}

void Queue::SubmitEncoded() {
  if (recorder_.Empty()) return;
  timer_.Resolve(recorder_.BetweenPasses());
  SubmitNow(recorder_.Finish());
}

void Queue::SubmitNow(const Encoded& piece, WGPUCommandBuffer then) {
  if (!piece.uniforms.empty())
    wgpu.QueueWriteBuffer(gpu_.queue.get(), uniform_buffer_.get(), 0, piece.uniforms.data(),
                          piece.uniforms.size());
  const WGPUCommandBuffer both[] = {piece.commands.get(), then};
  wgpu.QueueSubmit(gpu_.queue.get(), then == nullptr ? 1 : 2, both);
}

std::vector<Encoded> Queue::EncodeAhead(std::span<const HeldCommand> commands) const {
  std::vector<Encoded> pieces;
  Recorder recorder(gpu_, uniform_step_);
  Burst burst(gpu_is_slower_ ? Burst::Shape{kLongFirst, kLongFactor, 2 * max_pending_}
                             : Burst::Shape{kFirst, kFactor, max_pending_});
  for (const HeldCommand& held : commands) {
    if (recorder.Full()) pieces.push_back(recorder.Finish());
    recorder.Encode(held.command);
    if (burst.Ends(recorder.Count())) pieces.push_back(recorder.Finish());
  }
  if (!recorder.Empty()) pieces.push_back(recorder.Finish());
  return pieces;
}

void Queue::SubmitRun(std::vector<Encoded> pieces) {
  SubmitAll();
  if (pieces.empty()) return EndRun();
  ++issued_;
  const auto began = Clock::now();
  for (size_t i = 0; i + 1 < pieces.size(); ++i) SubmitNow(pieces[i]);
  Encoded copies;
  if (reads_.EndRun()) {
    reads_.Encode(recorder_.BetweenPasses());
    copies = recorder_.Finish();
  }
  SubmitNow(pieces.back(), copies.commands.get());
  reads_.Map();
  run_end_ = issued_.load();
  replay_began_ = began;
  replay_submitting_ = Clock::now() - began;
}

void Queue::ComparePaces(Clock::time_point wait_began) {
  const auto now = Clock::now();
  const auto began = std::exchange(replay_began_, std::nullopt);
  if (began && run_end_ == issued_ && now - wait_began > kNotice)
    gpu_is_slower_ = now - *began > kSlower * replay_submitting_;
}

void Queue::EndRun() {
  if (!deferred_.empty()) EncodeDeferred();
  const bool copies = run_end_ != issued_ && reads_.EndRun();
  if (copies) reads_.Encode(recorder_.BetweenPasses());
  Flush();
  if (copies) reads_.Map();
  run_end_ = issued_.load();
}

void Queue::Flush() {
  SubmitAll();
  burst_.Restart();
}

void Queue::WaitSubmitted() {
  const uint64_t issued = issued_;
  Done done;
  const WGPUQueueWorkDoneCallbackInfo info{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPUQueueWorkDoneStatus status, WGPUStringView message, void* user, void*) {
        auto* out = static_cast<Done*>(user);
        if (status != WGPUQueueWorkDoneStatus_Success) out->error = ToString(message);
        out->done = true;
      },
      &done, nullptr};
  WaitAtGate(gpu_, gate_, wgpu.QueueOnSubmittedWorkDone(gpu_.queue.get(), info), done.done);
  Check(done.error.empty(), "The GPU did not finish its work: ", done.error);
  written_ = 0;
  waited_ = std::max(waited_, issued);
}

void Queue::Wait() {
  Flush();
  if (waited_ == issued_) return;
  const auto began = Clock::now();
  WaitSubmitted();
  ComparePaces(began);
}

void Queue::Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes) {
  SubmitAll();
  ++issued_;
  if (bytes > kLeastStaged) return staging_.Upload(to, offset, static_cast<const uint8_t*>(data), bytes);
  wgpu.QueueWriteBuffer(gpu_.queue.get(), to, offset, data, bytes);
  written_ += bytes;
  if (written_ >= kMaxWritten) WaitSubmitted();
}

void Queue::Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes) {
  const ReadAhead::Range range{from, offset, bytes};
  if (gpu_.dawn && run_end_ == issued_) {
    reads_.Note(range);
    if (auto copied = reads_.Take(range)) return staging_.Fetch(*std::move(copied), data, bytes);
  }
  Staging::Readback readback = staging_.Take(bytes);
  if (!deferred_.empty()) EncodeDeferred();
  wgpu.CommandEncoderCopyBufferToBuffer(recorder_.BetweenPasses(), from, offset, readback.buffer.get(), 0,
                                        bytes);
  Flush();
  staging_.Map(readback, bytes);
  staging_.Fetch(std::move(readback), data, bytes);
}

void Queue::Trim() {
  reads_.Clear();
  staging_.Trim();
}

}  // namespace daybreak
