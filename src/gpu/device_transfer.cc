// The device's transfers: any bytes of a buffer, of which WebGPU moves whole words only.
#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "gpu/device_impl.h"

namespace daybreak {
namespace {

constexpr uint64_t UpToWords(uint64_t bytes) { return CeilDiv<uint64_t>(bytes, 4) * 4; }

}  // namespace

void DeviceImpl::Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes) {
  encoder_.Idle().Write(to, offset, data, bytes);
}

void DeviceImpl::Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes) {
  for (size_t at = 0; at < bytes; at += Queue::kMaxRead)
    encoder_.Idle().Read(from, offset + at, static_cast<char*>(data) + at,
                         std::min(Queue::kMaxRead, bytes - at));
}

void DeviceImpl::Upload(const void* host, void* device, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(gate_);
  support_->health.Check();
  WriteAny(Resolve(device, bytes), static_cast<const uint8_t*>(host), bytes);
}

void DeviceImpl::WriteAny(const BufferSlice& to, const uint8_t* data, size_t bytes) {
  const size_t whole = to.offset % 4 == 0 ? bytes / 4 * 4 : 0;
  if (whole != 0) Write(to.buffer->handle.get(), to.offset, data, whole);
  if (whole != bytes) WritePartial({to.buffer, to.offset + whole}, data + whole, bytes - whole);
}

// Words that are written in part keep their other bytes.
void DeviceImpl::WritePartial(const BufferSlice& to, const uint8_t* data, size_t bytes) {
  const uint64_t first = to.offset / 4 * 4, last = UpToWords(to.offset + bytes);
  std::vector<uint8_t> words(last - first);
  if (to.offset != first || to.offset + bytes < to.buffer->requested)
    Read(to.buffer->handle.get(), first, words.data(), words.size());
  std::memcpy(words.data() + (to.offset - first), data, bytes);
  Write(to.buffer->handle.get(), first, words.data(), words.size());
}

void DeviceImpl::Download(const void* device, void* host, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(gate_);
  support_->health.Check();
  const RunContext* run = Run();
  Check(run == nullptr || run->recording == nullptr,
        "A value is read back to the CPU while the run is captured; such a model cannot be captured.");
  ReadAny(Resolve(device, bytes), host, bytes);
  support_->health.Check();
}

void DeviceImpl::ReadAny(const BufferSlice& from, void* data, size_t bytes) {
  const uint64_t first = from.offset / 4 * 4, last = UpToWords(from.offset + bytes);
  if (first == from.offset && last == from.offset + bytes)
    return Read(from.buffer->handle.get(), first, data, bytes);
  std::vector<uint8_t> words(last - first);
  Read(from.buffer->handle.get(), first, words.data(), words.size());
  std::memcpy(data, words.data() + (from.offset - first), bytes);
}

void DeviceImpl::Copy(const void* from, void* to, size_t bytes) {
  if (bytes == 0 || from == to) return;
  std::lock_guard lock(gate_);
  support_->health.Check();
  CopySlices(Resolve(from, bytes), Resolve(to, bytes), bytes);
}

void DeviceImpl::CopySlices(const BufferSlice& from, const BufferSlice& to, size_t bytes) {
  const bool aligned = from.offset % 4 == 0 && to.offset % 4 == 0 &&
                       (bytes % 4 == 0 || to.offset + bytes >= to.buffer->requested);
  if (aligned && from.buffer != to.buffer)
    return Do(CopyCommand{from.buffer->handle.get(), to.buffer->handle.get(), from.offset, to.offset,
                          UpToWords(bytes)},
              nullptr, {});
  const RunContext* run = Run();
  Check(run == nullptr || run->recording == nullptr,
        "A copy of bytes that are not aligned to 4 cannot be captured.");
  std::vector<uint8_t> data(bytes);
  ReadAny(from, data.data(), bytes);
  WriteAny(to, data.data(), bytes);
}

}  // namespace daybreak
