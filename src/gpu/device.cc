#include "gpu/device.h"

#include <algorithm>

#include "core/error.h"
#include "gpu/device_impl.h"

namespace daybreak {

class Recording {
 public:
  explicit Recording(std::shared_ptr<DeviceImpl> owner) : device(std::move(owner)) {}
  ~Recording() {
    if (ahead.valid()) ahead.wait();
    device->ReleaseRecording(*this);
  }

  const std::shared_ptr<DeviceImpl> device;
  std::vector<HeldCommand> commands;
  std::vector<TimedDispatch> labels;        // of each command; without a shader when it is no dispatch
  std::future<std::vector<Encoded>> ahead;  // the next replay
};

namespace {

// The run that the calling thread is in.
struct ThreadRun {
  const DeviceImpl* device = nullptr;
  RunContext* context = nullptr;
};
thread_local ThreadRun thread_run;

std::string ShapesOf(const Dispatch& d) {
  std::string text;
  const auto add = [&](const Bind& b) {
    text += std::string(text.empty() || text.back() == ' ' ? "" : " ") + std::string(NameOf(b.tensor->type)) +
            ToString(b.tensor->shape);
  };
  for (const Bind& b : d.in) add(b);
  text += " -> ";
  for (const Bind& b : d.out) add(b);
  return text;
}

bool IsEmpty(const Dispatch& d) {
  if (d.indirect == nullptr && (d.grid.x == 0 || d.grid.y == 0 || d.grid.z == 0)) return true;
  for (const Bind& b : d.out)
    if (b.tensor->count() != 0) return false;
  return true;
}

// A one-dimensional grid beyond the limit is folded into rows of 32,768, which group_index() undoes.
void FoldGrid(const Dispatch& d, uint32_t (&grid)[3]) {
  constexpr int64_t kLimit = 65535, kRow = 32768;
  Grid g = d.grid;
  if (g.x > kLimit && g.y == 1 && g.z == 1) g = {kRow, CeilDiv(g.x, kRow), 1};
  Check(g.x <= kLimit && g.y <= kLimit && g.z <= kLimit, "Shader '", d.shader, "' needs a grid of ", g.x,
        " x ", g.y, " x ", g.z, " workgroups; the limit is ", kLimit, " along each axis.");
  grid[0] = static_cast<uint32_t>(g.x);
  grid[1] = static_cast<uint32_t>(g.y);
  grid[2] = static_cast<uint32_t>(g.z);
}

// Results of tuning hold for the kernels of one version.
std::string TuningKey(const std::string& cache_key) { return cache_key + "|tuning of " DAYBREAK_VERSION; }

}  // namespace

Issued::Issued() : list_(std::make_unique<IssuedList>()) {}
Issued::~Issued() = default;
void Issued::Clear() { list_->dispatches.clear(); }

void DeviceHealth::Set(const std::string& error, bool lost) {
  std::lock_guard lock(mutex_);
  if (error_.empty() || lost) error_ = error;
  if (lost) lost_ = true;
  failed_ = true;
}

void DeviceHealth::Check() {
  if (!failed_) return;
  std::lock_guard lock(mutex_);
  if (lost_)
    Fail("The GPU device is lost; sessions on it cannot go on, a new session opens it again. Reason: ",
         error_);
  failed_ = false;
  const std::string error = std::exchange(error_, {});
  Fail("The GPU reported an error: ", error);
}

DeviceImpl::DeviceImpl(Gpu gpu, DeviceInfo info, DeviceOptions options,
                       std::unique_ptr<DeviceSupport> support)
    : support_(std::move(support)),
      gpu_(std::move(gpu)),
      info_(std::move(info)),
      options_(std::move(options)),
      groups_(gpu_),
      pool_(gpu_, options_.memory_limit, info_.max_buffer, [this](const Buffer& b) { groups_.Forget(b); }),
      pipelines_(gpu_,
                 RenderTarget{.immediates = info_.immediates,
                              .requires_lines = gpu_.dawn,
                              .segment_bytes = info_.segment_bytes()},
                 support_->cache, support_->cache_key),
      queue_(gpu_, gate_, info_, options_.max_pending_dispatches),
      encoder_(queue_) {
  empty_ = &pool_.Take(256, MemoryKind::kWeight, nullptr);
}

DeviceImpl::~DeviceImpl() = default;

RunContext* DeviceImpl::Run() const { return thread_run.device == this ? thread_run.context : nullptr; }

// --- Memory

void* DeviceImpl::Alloc(size_t bytes, MemoryKind kind) {
  std::lock_guard lock(gate_);
  support_->health.Check();
  const RunContext* run = Run();
  return pool_.Take(bytes, kind, run ? run->recording.get() : nullptr).address;
}

void DeviceImpl::Free(void* address) noexcept {
  if (address == nullptr) return;
  std::lock_guard lock(gate_);
  if (!pool_.Addresses().Contains(address)) return;
  pool_.Give(*pool_.Addresses().Resolve(address).buffer);
}

MemoryKind DeviceImpl::KindOf(const void* address) const {
  return pool_.Addresses().Resolve(address).buffer->kind;
}

void DeviceImpl::Trim(uint64_t keep_bytes) {
  std::lock_guard lock(gate_);
  pool_.Trim(keep_bytes);
  encoder_.Idle().Trim();
}

MemoryStats DeviceImpl::Memory() const {
  std::lock_guard lock(gate_);
  return pool_.Stats();
}

BufferSlice DeviceImpl::Resolve(const void* address, size_t bytes) const {
  const BufferSlice slice = pool_.Addresses().Resolve(address);
  Check(slice.offset + bytes <= slice.buffer->capacity, "An access of ", bytes, " bytes at offset ",
        slice.offset, " goes beyond a GPU allocation of ", slice.buffer->requested, " bytes.");
  return slice;
}

// --- Work

uint32_t DeviceImpl::AddRanges(const Dispatch& d, const Bind& bind, BoundRanges& ranges) {
  const Tensor& t = *bind.tensor;
  const size_t bytes = t.bytes();
  const uint64_t segment = info_.segment_bytes();
  const uint64_t segments = info_.bindings(bytes);
  const size_t limit = std::min<size_t>(info_.max_storage_buffers, BoundRanges::capacity());
  Check(ranges.size() + segments <= limit, "Shader '", d.shader, "' binds more than ", limit,
        " buffers, the limit of ", info_.name, "; binding '", bind.name, "' of ", bytes, " bytes takes ",
        segments, ", because maxStorageBufferBindingSize is ", info_.max_binding, ".");
  if (bytes == 0) {
    ranges.push_back({empty_, 0, 256});
    return 1;
  }
  Check(t.device.address != nullptr, "Binding '", bind.name, "' of shader '", d.shader,
        "' is not on the device.");
  const BufferSlice slice = pool_.Addresses().Resolve(t.device.address);
  Check(slice.offset % info_.binding_alignment == 0, "Binding '", bind.name, "' of shader '", d.shader,
        "' starts at offset ", slice.offset, ", which is not a multiple of ", info_.binding_alignment, ".");
  const uint64_t bound = CeilDiv<uint64_t>(bytes, 16) * 16;
  Check(slice.offset + bound <= slice.buffer->capacity, "Binding '", bind.name, "' of shader '", d.shader,
        "' needs ", bytes, " bytes; its memory has ", slice.buffer->requested, ".");
  if (segments == 1) {
    // Up to the end of the buffer: tensors that grow in it keep their bind group.
    ranges.push_back({slice.buffer, slice.offset, std::min(segment, slice.buffer->capacity - slice.offset)});
    return 1;
  }
  for (uint64_t at = 0; at < bound; at += segment)
    ranges.push_back({slice.buffer, slice.offset + at, std::min(segment, bound - at)});
  return static_cast<uint32_t>(segments);
}

Segments DeviceImpl::RangesOf(const Dispatch& d, BoundRanges& ranges) {
  Segments segments;
  size_t inputs = 0;
  for (const Bind& b : d.in) segments.push_back(static_cast<uint8_t>(AddRanges(d, b, ranges)));
  inputs = ranges.size();
  for (const Bind& b : d.out) {
    const size_t first = ranges.size();
    segments.push_back(static_cast<uint8_t>(AddRanges(d, b, ranges)));
    for (size_t i = 0; i < first; ++i)
      Check(ranges[i].buffer != ranges[first].buffer || ranges[first].buffer == empty_, "Shader '", d.shader,
            "' binds one buffer for two purposes (", i < inputs ? "an input" : "an output", " and '", b.name,
            "').");
  }
  return segments;
}

Resolved DeviceImpl::ResolveDispatch(const Dispatch& d) {
  Resolved resolved;
  DispatchCommand& command = resolved.command;
  const Segments segments = RangesOf(d, resolved.ranges);
  const RunContext* run = Run();
  const Pipeline& pipeline = pipelines_.Get(d, segments, run ? run->model : 0);
  command.pipeline = &pipeline;
  command.params.resize(pipeline.recipe.param_bytes);
  WriteParams(d, command.params.data());
  if (d.indirect != nullptr) {
    const BufferSlice slice = Resolve(d.indirect->device.address, 12);
    command.indirect = slice.buffer->handle.get();
    command.indirect_offset = slice.offset;
  } else {
    FoldGrid(d, command.grid);
  }
  return resolved;
}

DispatchCommand DeviceImpl::CommandOf(const Resolved& resolved) {
  DispatchCommand command = resolved.command;
  command.group = groups_.Get(*command.pipeline, resolved.ranges, queue_.UniformBuffer());
  return command;
}

void DeviceImpl::Issue(const Dispatch& d, const NodeTag& tag, Issued* issued) {
  if (IsEmpty(d)) return;
  std::lock_guard lock(gate_);
  support_->health.Check();
  const Resolved resolved = ResolveDispatch(d);
  Do(CommandOf(resolved), &d, tag);
  if (issued == nullptr) return;
  IssuedList& list = *issued->list_;
  if (list.dispatches.empty()) list.destroyed = pool_.Destroyed();
  list.dispatches.push_back(resolved);
}

bool DeviceImpl::IssueAgain(const Issued& issued) {
  const RunContext* run = Run();
  if (run != nullptr && (run->recording != nullptr || !run->timings.empty())) return false;
  const IssuedList& list = *issued.list_;
  if (list.dispatches.empty()) return true;
  std::lock_guard lock(gate_);
  support_->health.Check();
  if (list.destroyed != pool_.Destroyed()) return false;
  for (const Resolved& resolved : list.dispatches) encoder_.Encode(CommandOf(resolved));
  return true;
}

void DeviceImpl::Do(const Command& command, const Dispatch* d, const NodeTag& tag) {
  const RunContext* run = Run();
  if (run == nullptr || (run->recording == nullptr && run->timings.empty())) return encoder_.Encode(command);
  TimedDispatch label;
  if (d != nullptr)
    label = {tag.node,  tag.op,       tag.problem, tag.variant,
             d->shader, ShapesOf(*d), d->grid,     std::get<DispatchCommand>(command).pipeline->id};
  if (run->recording == nullptr) return encoder_.Idle().Encode(command, d ? &label : nullptr, run->timings);
  run->recording->commands.push_back(Hold(command));
  run->recording->labels.push_back(std::move(label));
}

void DeviceImpl::Flush() {
  std::lock_guard lock(gate_);
  support_->health.Check();
  encoder_.EndRun();
}

void DeviceImpl::Wait() {
  std::lock_guard lock(gate_);
  support_->health.Check();
  WaitForGpu();
  support_->health.Check();
}

void DeviceImpl::WaitForGpu() {
  encoder_.Idle().Wait();
  encoder_.Idle().Collect();
}

// --- Runs

RunContext* DeviceImpl::SetRunContext(RunContext* context) {
  RunContext* ending = Run();
  if (ending != nullptr && !ending->timings.empty()) {
    std::lock_guard lock(gate_);
    WaitForGpu();  // hands the timings out while their collectors are there
  }
  thread_run = {context ? this : nullptr, context};
  if (context != nullptr && context->recording == nullptr) encoder_.Wake();
  return ending;
}

bool DeviceImpl::Prepare(uint64_t model) {
  std::lock_guard lock(gate_);
  return pipelines_.Prepare(model);
}

void DeviceImpl::Foresee(const Dispatch& d) {
  if (IsEmpty(d) || BindingsOf(d, info_) > info_.max_storage_buffers) return;
  Segments segments;
  for (const Bind& b : d.in) segments.push_back(static_cast<uint8_t>(info_.bindings(b.tensor->bytes())));
  for (const Bind& b : d.out) segments.push_back(static_cast<uint8_t>(info_.bindings(b.tensor->bytes())));
  std::lock_guard lock(gate_);
  pipelines_.Foresee(d, segments);
}

void DeviceImpl::Remember(uint64_t model) {
  std::lock_guard lock(gate_);
  pipelines_.Remember(model);
}

std::string DeviceImpl::LoadTuning() const { return support_->cache.Text(TuningKey(support_->cache_key)); }

void DeviceImpl::StoreTuning(const std::string& text) {
  const std::string key = TuningKey(support_->cache_key), kept = text.empty() ? "\n" : text;
  support_->cache.Store(key.data(), key.size(), kept.data(), kept.size());
  Check(support_->cache.Text(key) == kept, "The result of tuning cannot be kept: the cache folder ",
        support_->cache.Enabled() ? support_->cache.Folder().string() + " cannot be written." : "is off.");
}

std::shared_ptr<Recording> DeviceImpl::NewRecording() {
  return std::make_shared<Recording>(shared_from_this());
}

void DeviceImpl::Replay(Recording& recording, const std::vector<Timings*>& timings) {
  std::lock_guard lock(gate_);
  support_->health.Check();
  Queue& queue = encoder_.Idle();
  const auto encode = [&] {
    for (size_t i = 0; i < recording.commands.size(); ++i) {
      const TimedDispatch& label = recording.labels[i];
      queue.Encode(recording.commands[i].command, label.shader.empty() ? nullptr : &label, timings);
    }
  };
  if (!timings.empty()) {
    encode();
    return WaitForGpu();
  }
  if (recording.ahead.valid()) {
    queue.SubmitRun(recording.ahead.get());
  } else {
    encode();
    queue.EndRun();
  }
  // A command buffer serves once: that of the next replay is encoded while the GPU is at work.
  recording.ahead = encoder_.EncodeAhead(recording.commands);
}

void DeviceImpl::ReleaseRecording(const Recording& recording) {
  std::lock_guard lock(gate_);
  pool_.Disown(&recording);
}

}  // namespace daybreak
