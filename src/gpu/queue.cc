#include "gpu/queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint32_t kBurstStart = 4;  // commands in the first submit of a burst; the next have twice as many
constexpr size_t kMaxDeferred = 4096;
constexpr uint64_t kUniformBytes = 256 << 10;
constexpr uint64_t kMaxWritten = 64 << 20;  // bytes written before the GPU is waited for
constexpr size_t kLeastStaged = 1 << 20;    // bytes above which a write goes through our own staging memory

struct Done {
  std::string error;
  std::atomic<bool> done = false;
};

BufferHandle Referenced(WGPUBuffer buffer) {
  if (buffer != nullptr) wgpu.BufferAddRef(buffer);
  return BufferHandle(buffer);
}

}  // namespace

HeldCommand Hold(const Command& command) {
  HeldCommand held{command, {}, {}};
  if (const auto* copy = std::get_if<CopyCommand>(&command)) {
    held.buffers[0] = Referenced(copy->from);
    held.buffers[1] = Referenced(copy->to);
  } else {
    const auto& dispatch = std::get<DispatchCommand>(command);
    wgpu.BindGroupAddRef(dispatch.group);
    held.group = BindGroupHandle(dispatch.group);
    held.buffers[0] = Referenced(dispatch.indirect);
  }
  return held;
}

Queue::Queue(const Gpu& gpu, Gate& gate, const DeviceInfo& info, uint32_t max_pending)
    : gpu_(gpu),
      gate_(gate),
      staging_(gpu, gate),
      max_pending_(max_pending),
      uniform_step_(info.binding_alignment),
      timer_(gpu, info, max_pending),
      submit_at_(std::min(kBurstStart, max_pending)) {
  const WGPUBufferDescriptor descriptor{
      nullptr, Str("params"), WGPUBufferUsage_Uniform | WGPUBufferUsage_CopyDst, kUniformBytes, WGPU_FALSE};
  uniform_buffer_ = BufferHandle(wgpu.DeviceCreateBuffer(gpu.device.get(), &descriptor));
}

void Queue::EnsureEncoder() {
  if (encoder_) return;
  const WGPUCommandEncoderDescriptor descriptor{};
  encoder_ = CommandEncoderHandle(wgpu.DeviceCreateCommandEncoder(gpu_.device.get(), &descriptor));
}

void Queue::OpenPass(const WGPUPassTimestampWrites* writes) {
  EnsureEncoder();
  if (pass_) return;
  const WGPUComputePassDescriptor descriptor{nullptr, {}, writes};
  pass_ = ComputePassHandle(wgpu.CommandEncoderBeginComputePass(encoder_.get(), &descriptor));
  pipeline_ = nullptr;
  group_ = nullptr;
}

void Queue::ClosePass() {
  if (!pass_) return;
  wgpu.ComputePassEncoderEnd(pass_.get());
  pass_ = {};
}

uint32_t Queue::PushUniform(const FixedVec<uint8_t, 256>& params) {
  const size_t at = CeilDiv<size_t>(uniforms_.size(), uniform_step_) * uniform_step_;
  uniforms_.resize(at + CeilDiv<size_t>(params.size(), 16) * 16);
  std::memcpy(uniforms_.data() + at, params.data(), params.size());
  return static_cast<uint32_t>(at);
}

void Queue::EncodeDispatch(const DispatchCommand& c) {
  WGPUComputePassEncoder pass = pass_.get();
  if (pipeline_ != c.pipeline) wgpu.ComputePassEncoderSetPipeline(pass, c.pipeline->Get());
  if (c.pipeline->recipe.uniform) {
    const uint32_t offset = PushUniform(c.params);
    wgpu.ComputePassEncoderSetBindGroup(pass, 0, c.group, 1, &offset);
    group_ = nullptr;
  } else {
    if (group_ != c.group) wgpu.ComputePassEncoderSetBindGroup(pass, 0, c.group, 0, nullptr);
    group_ = c.group;
    if (!c.params.empty()) wgpu.ComputePassEncoderSetImmediates(pass, 0, c.params.data(), c.params.size());
  }
  pipeline_ = c.pipeline;
  if (c.indirect != nullptr)
    wgpu.ComputePassEncoderDispatchWorkgroupsIndirect(pass, c.indirect, c.indirect_offset);
  else
    wgpu.ComputePassEncoderDispatchWorkgroups(pass, c.grid[0], c.grid[1], c.grid[2]);
}

void Queue::Encode(const Command& command, const TimedDispatch* label, const std::vector<Timings*>& timings) {
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
  if (uniforms_.size() + 1024 > kUniformBytes) SubmitEncoded();
  if (auto* copy = std::get_if<CopyCommand>(&command)) {
    ClosePass();
    EnsureEncoder();
    wgpu.CommandEncoderCopyBufferToBuffer(encoder_.get(), copy->from, copy->from_offset, copy->to,
                                          copy->to_offset, copy->bytes);
  } else {
    const auto& dispatch = std::get<DispatchCommand>(command);
    const bool timed = label != nullptr && !timings.empty() && timer_.Available();
    if (timed && timer_.NeedsOwnPass()) {
      ClosePass();
      const WGPUPassTimestampWrites writes = timer_.PassWrites();
      OpenPass(&writes);
      EncodeDispatch(dispatch);
      ClosePass();
      timer_.Label(*label, timings);
    } else {
      OpenPass();
      if (timed) timer_.Begin(pass_.get());
      EncodeDispatch(dispatch);
      if (timed) timer_.End(pass_.get(), *label, timings);
    }
  }
  ++pending_;
  if (pending_ >= submit_at_) {
    SubmitEncoded();
    submit_at_ = std::min(2 * submit_at_, max_pending_);
  }
}

void Queue::SubmitAll() {
  if (!deferred_.empty()) EncodeDeferred();
  SubmitEncoded();
}

void Queue::SubmitEncoded() {
  if (!encoder_) return;
  ClosePass();
  timer_.Resolve(encoder_.get());
  Encoded piece{CommandBufferHandle(wgpu.CommandEncoderFinish(encoder_.get(), nullptr)),
                std::exchange(uniforms_, {})};
  encoder_ = {};
  pending_ = 0;
  if (ahead_ != nullptr)
    ahead_->push_back(std::move(piece));
  else
    SubmitNow(piece);
}

void Queue::SubmitNow(const Encoded& piece) {
  if (!piece.uniforms.empty())
    wgpu.QueueWriteBuffer(gpu_.queue.get(), uniform_buffer_.get(), 0, piece.uniforms.data(),
                          piece.uniforms.size());
  const WGPUCommandBuffer raw = piece.commands.get();
  wgpu.QueueSubmit(gpu_.queue.get(), 1, &raw);
}

std::vector<Queue::Encoded> Queue::EncodeAhead(const std::function<void()>& encode) {
  Flush();
  std::vector<Encoded> pieces;
  ahead_ = &pieces;
  try {
    encode();
    Flush();
  } catch (...) {
    ahead_ = nullptr;
    throw;
  }
  ahead_ = nullptr;
  return pieces;
}

void Queue::Submit(std::vector<Encoded> pieces) {
  SubmitAll();
  for (const Encoded& piece : pieces) SubmitNow(piece);
}

void Queue::Flush() {
  SubmitAll();
  submit_at_ = std::min(kBurstStart, max_pending_);
}

void Queue::WaitSubmitted() {
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
}

void Queue::Wait() {
  Flush();
  WaitSubmitted();
}

void Queue::Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes) {
  SubmitAll();
  if (bytes > kLeastStaged) return staging_.Upload(to, offset, static_cast<const uint8_t*>(data), bytes);
  wgpu.QueueWriteBuffer(gpu_.queue.get(), to, offset, data, bytes);
  written_ += bytes;
  if (written_ >= kMaxWritten) WaitSubmitted();
}

void Queue::Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes) {
  Staging::Readback readback = staging_.Take(bytes);
  if (!deferred_.empty()) EncodeDeferred();
  ClosePass();
  EnsureEncoder();
  wgpu.CommandEncoderCopyBufferToBuffer(encoder_.get(), from, offset, readback.buffer.get(), 0, bytes);
  Flush();
  staging_.Fetch(std::move(readback), static_cast<uint8_t*>(data), bytes);
}

}  // namespace daybreak
