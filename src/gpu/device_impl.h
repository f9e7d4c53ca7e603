// The Device over one WGPUDevice: everything behind one gate, which is open while a thread waits for the GPU.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/bind_groups.h"
#include "gpu/device.h"
#include "gpu/disk_cache.h"
#include "gpu/encoder.h"
#include "gpu/memory.h"
#include "gpu/pipelines.h"
#include "gpu/queue.h"

namespace daybreak {

// What the device's callbacks, which may come on any thread, tell the next foreground call.
class DeviceHealth {
 public:
  void Report(const std::string& error) { Set(error, false); }
  void Lose(const std::string& reason) { Set(reason, true); }
  bool Lost() const { return lost_; }
  // Throws what was reported since the last check, and forever after a loss.
  void Check();

 private:
  void Set(const std::string& error, bool lost);

  std::mutex mutex_;
  std::atomic<bool> failed_ = false, lost_ = false;
  std::string error_;
};

// What the device's callbacks use; it outlives the device.
struct DeviceSupport {
  DeviceSupport(const std::string& cache_folder, std::string key)
      : cache(cache_folder), cache_key(std::move(key)) {}
  DeviceHealth health;
  const DiskCache cache;
  const std::string cache_key;  // of what this device may use of it
};

// A dispatch whose pipeline and buffers are known.
struct Resolved {
  DispatchCommand command;  // without its bind group
  BoundRanges ranges;
};

struct IssuedList {
  std::vector<Resolved> dispatches;
  uint64_t destroyed = 0;  // buffers, when the first was resolved
};

class DeviceImpl final : public Device, public std::enable_shared_from_this<DeviceImpl> {
 public:
  DeviceImpl(Gpu gpu, DeviceInfo info, DeviceOptions options, std::unique_ptr<DeviceSupport> support);
  ~DeviceImpl() override;

  bool Lost() const { return support_->health.Lost(); }
  void ReleaseRecording(const Recording& recording);

  const DeviceInfo& Info() const override { return info_; }
  const DeviceOptions& Options() const override { return options_; }
  void* Alloc(size_t bytes, MemoryKind kind) override;
  void Free(void* address) noexcept override;
  bool Owns(const void* address) const noexcept override { return pool_.Addresses().Contains(address); }
  MemoryKind KindOf(const void* address) const override;
  void Trim(uint64_t keep_bytes) override;
  MemoryStats Memory() const override;
  void Upload(const void* host, void* device, size_t bytes) override;
  void Download(const void* device, void* host, size_t bytes) override;
  void Copy(const void* from, void* to, size_t bytes) override;
  void Issue(const Dispatch& dispatch, const NodeTag& tag, Issued* issued) override;
  bool IssueAgain(const Issued& issued) override;
  void Flush() override;
  void Wait() override;
  RunContext* SetRunContext(RunContext* context) override;
  bool Prepare(uint64_t model) override;
  void Foresee(const Dispatch& dispatch) override;
  void Remember(uint64_t model) override;
  std::string LoadTuning() const override;
  void StoreTuning(const std::string& text) override;
  std::shared_ptr<Recording> NewRecording() override;
  void Replay(Recording& recording, const std::vector<Timings*>& timings) override;

 private:
  RunContext* Run() const;
  BufferSlice Resolve(const void* address, size_t bytes) const;
  // Adds the ranges of a binding: one, or one for each of its segments, whose number it returns.
  uint32_t AddRanges(const Dispatch& dispatch, const Bind& bind, BoundRanges& ranges);
  Segments RangesOf(const Dispatch& dispatch, BoundRanges& ranges);
  Resolved ResolveDispatch(const Dispatch& dispatch);
  DispatchCommand CommandOf(const Resolved& resolved);
  void Do(const Command& command, const Dispatch* dispatch, const NodeTag& tag);
  // In order with the commands, any number of bytes.
  void Write(WGPUBuffer to, uint64_t offset, const void* data, size_t bytes);
  void Read(WGPUBuffer from, uint64_t offset, void* data, size_t bytes);
  void WaitForGpu();
  void CopySlices(const BufferSlice& from, const BufferSlice& to, size_t bytes);
  void WriteAny(const BufferSlice& to, const uint8_t* data, size_t bytes);
  void WritePartial(const BufferSlice& to, const uint8_t* data, size_t bytes);
  void ReadAny(const BufferSlice& from, void* data, size_t bytes);

  const std::unique_ptr<DeviceSupport> support_;
  const Gpu gpu_;
  const DeviceInfo info_;
  const DeviceOptions options_;
  mutable Gate gate_;
  BindGroups groups_;
  BufferPool pool_;
  Pipelines pipelines_;
  Queue queue_;
  Encoder encoder_;
  Buffer* empty_ = nullptr;  // bound for tensors without elements
};

}  // namespace daybreak
