#include "gpu/staging.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint64_t kLeastReadback = 64 << 10;
constexpr size_t kIdleReadbacks = 2;

BufferHandle MakeBuffer(const Gpu& gpu, const char* label, WGPUBufferUsage usage, uint64_t bytes,
                        bool mapped) {
  const WGPUBufferDescriptor descriptor{nullptr, Str(label), usage, bytes, mapped};
  BufferHandle buffer(wgpu.DeviceCreateBuffer(gpu.device.get(), &descriptor));
  Check(static_cast<bool>(buffer), "The device gave no ", label, " buffer of ", bytes, " bytes.");
  return buffer;
}

}  // namespace

// The implementation still writes to what is being mapped.
Staging::~Staging() {
  for (const auto& slot : slots_)
    if (!slot->mapping.done) gpu_.Wait(slot->future, slot->mapping.done);
}

WGPUFuture Staging::MapBuffer(WGPUBuffer buffer, WGPUMapMode mode, size_t bytes, Mapping& mapping) {
  mapping.done = false;
  const WGPUBufferMapCallbackInfo info{
      nullptr, WGPUCallbackMode_AllowSpontaneous,
      [](WGPUMapAsyncStatus status, WGPUStringView message, void* user, void*) {
        auto* out = static_cast<Mapping*>(user);
        if (status != WGPUMapAsyncStatus_Success) out->error = ToString(message);
        out->done = true;
      },
      &mapping, nullptr};
  return wgpu.BufferMapAsync(buffer, mode, 0, bytes, info);
}

// A mapped buffer: one that the GPU is done with, a new one, or the one that it will be done with first.
Staging::Slot& Staging::TakeSlot() {
  while (true) {
    const auto is_free = [](const auto& slot) { return !slot->taken; };
    auto found = std::find_if(slots_.begin(), slots_.end(), is_free);
    if ((found == slots_.end() || !(*found)->mapping.done) && slots_.size() < kUploads) {
      slots_.insert(slots_.begin(), std::make_unique<Slot>());
      found = slots_.begin();
      (*found)->buffer =
          MakeBuffer(gpu_, "upload", WGPUBufferUsage_MapWrite | WGPUBufferUsage_CopySrc, kChunk, true);
    }
    if (found != slots_.end()) {
      Slot& slot = **found;
      std::rotate(found, found + 1, slots_.end());
      slot.taken = true;
      WaitAtGate(gpu_, gate_, slot.future, slot.mapping.done);
      if (!slot.mapping.error.empty()) {
        const std::string error = slot.mapping.error;
        std::erase_if(slots_, [&](const auto& s) { return s.get() == &slot; });
        Fail("Writing to the GPU failed: ", error);
      }
      return slot;
    }
    const OpenGate open(gate_);  // other threads have them all
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void Staging::SubmitCopy(Slot& slot, WGPUBuffer to, uint64_t offset, size_t bytes) {
  wgpu.BufferUnmap(slot.buffer.get());
  const WGPUCommandEncoderDescriptor descriptor{};
  const CommandEncoderHandle encoder(wgpu.DeviceCreateCommandEncoder(gpu_.device.get(), &descriptor));
  wgpu.CommandEncoderCopyBufferToBuffer(encoder.get(), slot.buffer.get(), 0, to, offset, bytes);
  const CommandBufferHandle commands(wgpu.CommandEncoderFinish(encoder.get(), nullptr));
  const WGPUCommandBuffer raw = commands.get();
  wgpu.QueueSubmit(gpu_.queue.get(), 1, &raw);
  slot.future = MapBuffer(slot.buffer.get(), WGPUMapMode_Write, kChunk, slot.mapping);
  slot.taken = false;
}

void Staging::Upload(WGPUBuffer to, uint64_t offset, const uint8_t* data, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kChunk) {
    const size_t n = std::min<size_t>(kChunk, bytes - at);
    Slot& slot = TakeSlot();
    void* mapped = wgpu.BufferGetMappedRange(slot.buffer.get(), 0, kChunk);
    {
      const OpenGate open(gate_);
      std::memcpy(mapped, data + at, n);
    }
    SubmitCopy(slot, to, offset + at, n);
  }
}

Staging::Readback Staging::Take(uint64_t bytes) {
  std::lock_guard lock(readbacks_mutex_);
  const auto fits = [&](const Readback& r) { return r.bytes >= bytes; };
  const auto found = std::find_if(readbacks_.begin(), readbacks_.end(), fits);
  if (found != readbacks_.end()) {
    Readback taken = std::move(*found);
    readbacks_.erase(found);
    return taken;
  }
  const uint64_t size = std::bit_ceil(std::max(bytes, kLeastReadback));
  Readback made;
  made.buffer = MakeBuffer(gpu_, "readback", WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst, size, false);
  made.bytes = size;
  return made;
}

void Staging::Map(Readback& readback, size_t bytes) {
  readback.mapping = std::make_unique<Mapping>();
  readback.future = MapBuffer(readback.buffer.get(), WGPUMapMode_Read, bytes, *readback.mapping);
}

void Staging::Fetch(Readback readback, void* data, size_t bytes) {
  WaitAtGate(gpu_, gate_, readback.future, readback.mapping->done);
  Check(readback.mapping->error.empty(), "Reading from the GPU failed: ", readback.mapping->error);
  const void* mapped = wgpu.BufferGetConstMappedRange(readback.buffer.get(), 0, bytes);
  {
    const OpenGate open(gate_);
    std::memcpy(data, mapped, bytes);
  }
  wgpu.BufferUnmap(readback.buffer.get());
  Keep(std::move(readback));
}

void Staging::Return(Readback readback) {
  if (readback.mapping) {
    wgpu.BufferUnmap(readback.buffer.get());  // ends a mapping that is on its way, too
    gpu_.Wait(readback.future, readback.mapping->done);
  }
  Keep(std::move(readback));
}

// Ascending, so that Take finds the smallest that fits; the smallest goes first.
void Staging::Keep(Readback readback) {
  readback.mapping = nullptr;
  std::lock_guard lock(readbacks_mutex_);
  const auto smaller = [](const Readback& a, const Readback& b) { return a.bytes < b.bytes; };
  readbacks_.insert(std::upper_bound(readbacks_.begin(), readbacks_.end(), readback, smaller),
                    std::move(readback));
  if (readbacks_.size() > kIdleReadbacks) readbacks_.erase(readbacks_.begin());
}

void Staging::Trim() {
  std::erase_if(slots_, [](const auto& slot) { return !slot->taken && slot->mapping.done; });
  std::lock_guard lock(readbacks_mutex_);
  readbacks_.clear();
}

}  // namespace daybreak
