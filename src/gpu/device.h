// The GPU as the rest of Daybreak sees it: adapters, devices, memory, transfers, dispatches, recordings,
// timings.
//
// All functions may be called from any thread. Errors (a failed pipeline, a lost device, memory that is not
// there) are thrown as daybreak::Error by the call in which they are noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/device_info.h"
#include "core/dispatch.h"

namespace daybreak {

// What a device is opened with. The first session that opens an adapter decides.
struct DeviceOptions {
  bool validation = false;               // WebGPU validation of each call (slow; for development)
  bool robustness = false;               // clamp shader accesses to the binding
  uint32_t max_pending_dispatches = 32;  // dispatches in one submit
  uint64_t max_binding = 0;              // lower limit for one storage binding; 0: the adapter's
  uint64_t memory_limit = 0;             // bytes of GPU memory that may be in use; 0: no limit
  std::string cache_dir;                 // pipelines on disk; empty: the default folder, "off": none
};

enum class MemoryKind : uint8_t { kTensor, kWeight, kScratch };

struct MemoryStats {
  uint64_t in_use[3] = {};   // bytes handed out, by MemoryKind
  uint64_t peak = 0;         // most bytes in use at one time
  uint64_t reserved = 0;     // bytes of all buffers that exist, the free ones included
  uint64_t allocations = 0;  // buffers created so far
};

// Who issued a dispatch, for which problem, and what chose its kernel (core/tuning.h): for profiles.
struct NodeTag {
  const char* node = "";
  const char* op = "";
  const char* problem = "";
  const char* variant = "";
};

// One timed dispatch. Times are nanoseconds on the steady clock of the process (std::chrono::steady_clock).
struct TimedDispatch {
  std::string node, op, problem, variant, shader, shapes;  // shapes: "f32[1,8] f32[8] -> f32[1,8]"
  Grid grid;
  uint64_t pipeline = 0;  // of the device: dispatches with the same one run the same code
  int64_t start_ns = 0, duration_ns = 0;
};

// Collects the timings of the runs that name it in their RunContext.
class Timings {
 public:
  void Add(TimedDispatch event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  std::vector<TimedDispatch> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<TimedDispatch> events_;
};

struct IssuedList;

// Dispatches as a device resolved them, to be issued again without a look at their tensors.
class Issued {
 public:
  Issued();
  ~Issued();
  Issued(const Issued&) = delete;
  void Clear();

 private:
  friend class DeviceImpl;
  std::unique_ptr<IssuedList> list_;
};

// Commands of one run, to be replayed, and the memory that they use. Freed with the last reference.
class Recording;

// What the calling thread is doing: set at the start of a run, cleared at its end.
struct RunContext {
  std::shared_ptr<Recording> recording;  // commands are recorded (and not executed) when set
  std::vector<Timings*> timings;         // dispatches are timed when not empty
  uint64_t model = 0;                    // fingerprint of the model that runs; 0: not known
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceInfo& Info() const = 0;
  virtual const DeviceOptions& Options() const = 0;

  // --- Memory. Addresses lie in a reserved range: distinct, 64 KiB aligned, never readable by the CPU.
  // `bytes` may be 0 (the address is then only an identity). Contents are undefined. Throws when the limit is
  // reached.
  virtual void* Alloc(size_t bytes, MemoryKind kind) = 0;
  // The buffer goes back to the pool, or, during a recording, to the recording's own pool. Ignores nullptr.
  virtual void Free(void* address) noexcept = 0;
  virtual bool Owns(const void* address) const noexcept = 0;
  // What the memory at `address`, which is in use, was allocated for.
  virtual MemoryKind KindOf(const void* address) const = 0;
  // Destroys free buffers beyond `keep_bytes`.
  virtual void Trim(uint64_t keep_bytes) = 0;
  virtual MemoryStats Memory() const = 0;

  // --- Transfers, in order with the dispatches. Any size, any offset inside an allocation.
  // Upload has read all of `host` when it returns; Download has waited for the GPU.
  virtual void Upload(const void* host, void* device, size_t bytes) = 0;
  virtual void Download(const void* device, void* host, size_t bytes) = 0;
  virtual void Copy(const void* from, void* to, size_t bytes) = 0;

  // --- Work.
  // Adds to `issued`, unless it is null, what the dispatch came to.
  virtual void Issue(const Dispatch& dispatch, const NodeTag& tag, Issued* issued = nullptr) = 0;
  // Issues what was added, in its order. False, with nothing done, when memory has been destroyed since, or
  // in a run that is recorded or timed.
  virtual bool IssueAgain(const Issued& issued) = 0;
  // Hands what is encoded to the GPU without waiting: the end of a run. What the caller reads after every run
  // is copied with it from then on.
  virtual void Flush() = 0;
  // Flushes and waits for everything issued so far.
  virtual void Wait() = 0;

  // --- Runs. `context` must outlive the bracket; nullptr ends it. Applies to the calling thread. Returns the
  // one before.
  virtual RunContext* SetRunContext(RunContext* context) = 0;
  // Starts to compile what earlier processes needed for the model; false when nothing is known of it.
  virtual bool Prepare(uint64_t model) = 0;
  // Starts to compile what the dispatch would need, ahead of its run and behind what runs need. Its tensors
  // need no memory.
  virtual void Foresee(const Dispatch& dispatch) = 0;
  // Keeps on disk what this process needed for the model.
  virtual void Remember(uint64_t model) = 0;
  // What `daybreak tune` kept for this device, its driver and this version of Daybreak; "" when there is
  // nothing.
  virtual std::string LoadTuning() const = 0;
  // Keeps it in place of what was kept before. Errors when the folder for compiled pipelines is off or cannot
  // be written.
  virtual void StoreTuning(const std::string& text) = 0;
  virtual std::shared_ptr<Recording> NewRecording() = 0;
  // Issues a recording's commands again. `timings` as in RunContext.
  virtual void Replay(Recording& recording, const std::vector<Timings*>& timings) = 0;
};

// One adapter (a physical or software GPU) of a WebGPU implementation.
struct Adapter {
  DeviceInfo info;
  size_t index = 0;
};

// A loaded WebGPU implementation.
class WebGpu {
 public:
  virtual ~WebGpu() = default;
  // Path of the library that is loaded, and "Dawn" or "wgpu-native".
  virtual const std::string& Library() const = 0;
  virtual const std::string& Implementation() const = 0;
  // Every adapter once, hardware first. An adapter keeps its index for the life of the process.
  virtual const std::vector<Adapter>& Adapters() const = 0;
  // The device of an adapter: shared by all sessions of the process while one of them holds it, opened anew
  // after a loss.
  virtual std::shared_ptr<Device> Open(size_t adapter, const DeviceOptions& options) = 0;

  // Loads the library once for the process. Search order: `path`, the environment variable
  // DAYBREAK_WEBGPU_LIBRARY, beside the plugin, the system. The Error lists everything that was tried. A
  // later call with another path is an Error.
  static WebGpu& Load(const std::string& path = "");
};

}  // namespace daybreak
