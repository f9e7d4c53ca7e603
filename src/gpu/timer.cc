#include "gpu/timer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/error.h"

namespace daybreak {
namespace {

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

BufferHandle MakeBuffer(const Gpu& gpu, WGPUBufferUsage usage, uint64_t bytes) {
  const WGPUBufferDescriptor descriptor{nullptr, Str("timestamps"), usage, bytes, WGPU_FALSE};
  return BufferHandle(wgpu.DeviceCreateBuffer(gpu.device.get(), &descriptor));
}

}  // namespace

Timer::Timer(const Gpu& gpu, const DeviceInfo& info, uint32_t capacity)
    : gpu_(gpu), capacity_(capacity), in_pass_(info.timestamps_in_pass), at_pass_(info.timestamps) {}

Timer::~Timer() = default;

Timer::Batch& Timer::Current() {
  if (current_ == nullptr && !idle_.empty()) {
    current_ = std::move(idle_.back());
    idle_.pop_back();
  }
  if (current_ == nullptr) {
    current_ = std::make_unique<Batch>();
    const WGPUQuerySetDescriptor descriptor{nullptr, Str("timestamps"), WGPUQueryType_Timestamp,
                                            2 * capacity_};
    current_->queries = QuerySetHandle(wgpu.DeviceCreateQuerySet(gpu_.device.get(), &descriptor));
    const uint64_t bytes = 16ull * capacity_;
    current_->resolved = MakeBuffer(gpu_, WGPUBufferUsage_QueryResolve | WGPUBufferUsage_CopySrc, bytes);
    current_->readback = MakeBuffer(gpu_, WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst, bytes);
  }
  return *current_;
}

void Timer::Begin(WGPUComputePassEncoder pass) {
  Batch& batch = Current();
  wgpu.ComputePassEncoderWriteTimestamp(pass, batch.queries.get(),
                                        static_cast<uint32_t>(2 * batch.entries.size()));
}

void Timer::End(WGPUComputePassEncoder pass, const TimedDispatch& label,
                const std::vector<Timings*>& timings) {
  Batch& batch = Current();
  wgpu.ComputePassEncoderWriteTimestamp(pass, batch.queries.get(),
                                        static_cast<uint32_t>(2 * batch.entries.size() + 1));
  Label(label, timings);
}

WGPUPassTimestampWrites Timer::PassWrites() {
  Batch& batch = Current();
  const auto first = static_cast<uint32_t>(2 * batch.entries.size());
  return {nullptr, batch.queries.get(), first, first + 1};
}

void Timer::Label(const TimedDispatch& label, const std::vector<Timings*>& timings) {
  Current().entries.push_back({label, timings});
}

void Timer::Resolve(WGPUCommandEncoder encoder) {
  if (current_ == nullptr || current_->entries.empty()) return;
  const auto count = static_cast<uint32_t>(2 * current_->entries.size());
  wgpu.CommandEncoderResolveQuerySet(encoder, current_->queries.get(), 0, count, current_->resolved.get(), 0);
  wgpu.CommandEncoderCopyBufferToBuffer(encoder, current_->resolved.get(), 0, current_->readback.get(), 0,
                                        8ull * count);
  submitted_.push_back(std::move(current_));
}

std::vector<uint64_t> Timer::ReadBack(const Batch& batch, size_t count) {
  struct Mapped {
    std::string error;
    std::atomic<bool> done = false;
  } mapped;
  const WGPUBufferMapCallbackInfo info{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPUMapAsyncStatus status, WGPUStringView message, void* user, void*) {
        auto* out = static_cast<Mapped*>(user);
        if (status != WGPUMapAsyncStatus_Success) out->error = ToString(message);
        out->done = true;
      },
      &mapped, nullptr};
  gpu_.Wait(wgpu.BufferMapAsync(batch.readback.get(), WGPUMapMode_Read, 0, 8 * count, info), mapped.done);
  Check(mapped.error.empty(), "Reading GPU timestamps failed: ", mapped.error);
  std::vector<uint64_t> ticks(count);
  std::memcpy(ticks.data(), wgpu.BufferGetConstMappedRange(batch.readback.get(), 0, 8 * count), 8 * count);
  wgpu.BufferUnmap(batch.readback.get());
  return ticks;
}

// The GPU's clock has no defined origin: an empty timed pass is submitted and waited for, and the smallest
// difference of several tries, which carries the least waiting, ties the clocks together.
void Timer::Calibrate() {
  std::unique_ptr<Batch> saved = std::move(current_);
  for (int attempt = 0; attempt < 5; ++attempt) {
    Batch& batch = Current();
    const WGPUCommandEncoderDescriptor encoder_descriptor{};
    const CommandEncoderHandle encoder(
        wgpu.DeviceCreateCommandEncoder(gpu_.device.get(), &encoder_descriptor));
    const WGPUPassTimestampWrites writes{nullptr, batch.queries.get(), 0, 1};
    const WGPUComputePassDescriptor pass_descriptor{nullptr, Str("calibrate"), &writes};
    const ComputePassHandle pass(wgpu.CommandEncoderBeginComputePass(encoder.get(), &pass_descriptor));
    wgpu.ComputePassEncoderEnd(pass.get());
    wgpu.CommandEncoderResolveQuerySet(encoder.get(), batch.queries.get(), 0, 2, batch.resolved.get(), 0);
    wgpu.CommandEncoderCopyBufferToBuffer(encoder.get(), batch.resolved.get(), 0, batch.readback.get(), 0,
                                          16);
    const CommandBufferHandle commands(wgpu.CommandEncoderFinish(encoder.get(), nullptr));
    const WGPUCommandBuffer raw = commands.get();
    wgpu.QueueSubmit(gpu_.queue.get(), 1, &raw);
    const auto ticks = static_cast<int64_t>(ReadBack(batch, 2)[1]);
    const int64_t difference = Now() - ticks;
    cpu_minus_gpu_ns_ = cpu_minus_gpu_ns_ ? std::min(*cpu_minus_gpu_ns_, difference) : difference;
  }
  idle_.push_back(std::move(current_));
  current_ = std::move(saved);
}

void Timer::Collect() {
  if (submitted_.empty()) return;
  if (!cpu_minus_gpu_ns_) Calibrate();
  for (auto& batch : submitted_) {
    const std::vector<uint64_t> ticks = ReadBack(*batch, 2 * batch->entries.size());
    for (size_t i = 0; i < batch->entries.size(); ++i) {
      Entry& entry = batch->entries[i];
      entry.label.start_ns = static_cast<int64_t>(ticks[2 * i]) + *cpu_minus_gpu_ns_;
      entry.label.duration_ns = static_cast<int64_t>(ticks[2 * i + 1] - ticks[2 * i]);
      for (Timings* t : entry.timings) t->Add(entry.label);
    }
    batch->entries.clear();
    idle_.push_back(std::move(batch));
  }
  submitted_.clear();
}

}  // namespace daybreak
