#include "gpu/memory.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#include <algorithm>
#include <bit>
#include <optional>

#include "core/error.h"

namespace daybreak {
namespace {

constexpr uint64_t kStep = 64 << 10;
constexpr uint64_t kRange = uint64_t{1} << 40;
constexpr uint64_t kCheckedBytes = 16 << 20;
constexpr uint64_t kSteps = kRange / kStep;

enum class Access { kNone, kReadWrite };

// Address space without memory behind it; pages that are touched (Access::kReadWrite) start as zeros.
void* Reserve(uint64_t bytes, Access access) {
#ifdef _WIN32
  // A lazily committed table would need a fault handler on Windows; the table is small enough to commit.
  void* p = VirtualAlloc(nullptr, bytes, access == Access::kNone ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT,
                         access == Access::kNone ? PAGE_NOACCESS : PAGE_READWRITE);
  Check(p != nullptr, "Reserving ", bytes, " bytes of address space failed.");
#else
  void* p = mmap(nullptr, bytes, access == Access::kNone ? PROT_NONE : PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Check(p != MAP_FAILED, "Reserving ", bytes,
        " bytes of address space failed; is a limit on virtual memory set?");
#endif
  return p;
}

void Unreserve(void* p, [[maybe_unused]] uint64_t bytes) {
#ifdef _WIN32
  VirtualFree(p, 0, MEM_RELEASE);
#else
  munmap(p, bytes);
#endif
}

uint64_t StepsOf(const Buffer& buffer) { return CeilDiv(buffer.capacity, kStep); }

// Tensors come in four classes an octave, so that growing sizes hit free buffers at up to 25 % of slack;
// weights, which stay, take what they need.
uint64_t SizeClass(uint64_t bytes, MemoryKind kind) {
  const uint64_t padded = std::max<uint64_t>(CeilDiv<uint64_t>(bytes, 256) * 256, 256);
  if (kind == MemoryKind::kWeight || padded <= 1024) return padded;
  const uint64_t quarter = std::bit_floor(padded - 1) / 4;
  return CeilDiv(padded, quarter) * quarter;
}

}  // namespace

AddressSpace::AddressSpace()
    : base_(static_cast<char*>(Reserve(kRange, Access::kNone))),
      owner_(static_cast<Buffer**>(Reserve(kSteps * sizeof(Buffer*), Access::kReadWrite))) {}

AddressSpace::~AddressSpace() {
  Unreserve(base_, kRange);
  Unreserve(owner_, kSteps * sizeof(Buffer*));
}

void AddressSpace::Place(Buffer& buffer) {
  const uint64_t steps = StepsOf(buffer);
  uint64_t first = next_;
  if (auto it = free_.find(steps); it != free_.end()) {
    first = it->second;
    free_.erase(it);
  } else {
    Check(next_ + steps <= kSteps, "The address range for GPU buffers is used up (", kRange, " bytes).");
    next_ += steps;
  }
  std::fill_n(owner_ + first, steps, &buffer);
  buffer.address = base_ + first * kStep;
}

void AddressSpace::Remove(Buffer& buffer) {
  const uint64_t first = static_cast<uint64_t>(buffer.address - base_) / kStep;
  std::fill_n(owner_ + first, StepsOf(buffer), nullptr);
  free_.emplace(StepsOf(buffer), first);
}

bool AddressSpace::Contains(const void* address) const {
  const auto* p = static_cast<const char*>(address);
  return p >= base_ && p < base_ + kRange;
}

BufferSlice AddressSpace::Resolve(const void* address) const {
  Check(Contains(address), "The address ", address, " is not GPU memory of this device.");
  const auto* p = static_cast<const char*>(address);
  Buffer* buffer = owner_[static_cast<uint64_t>(p - base_) / kStep];
  Check(buffer != nullptr, "The address ", address, " belongs to GPU memory that was released.");
  return {buffer, static_cast<uint64_t>(p - buffer->address)};
}

BufferPool::BufferPool(const Gpu& gpu, uint64_t limit, uint64_t max_buffer,
                       std::function<void(const Buffer&)> destroyed)
    : gpu_(gpu), limit_(limit), max_buffer_(max_buffer), destroyed_(std::move(destroyed)) {}

BufferPool::~BufferPool() {
  for (auto& [raw, buffer] : all_) wgpu.BufferDestroy(buffer->handle.get());
}

Buffer& BufferPool::Take(uint64_t bytes, MemoryKind kind, const void* owner) {
  const uint64_t capacity = SizeClass(bytes, kind);
  Buffer* buffer = nullptr;
  for (const void* list : {owner, static_cast<const void*>(nullptr)}) {
    auto& slot = free_[list][capacity];
    if (slot.empty()) continue;
    buffer = slot.back();
    slot.pop_back();
    if (list == nullptr) free_bytes_ -= capacity;
    break;
  }
  if (buffer == nullptr) buffer = &Create(capacity);
  buffer->requested = bytes;
  buffer->kind = kind;
  buffer->pool = owner;
  stats_.in_use[static_cast<size_t>(kind)] += capacity;
  tensor_peak_ = std::max(tensor_peak_, stats_.in_use[static_cast<size_t>(MemoryKind::kTensor)] +
                                            stats_.in_use[static_cast<size_t>(MemoryKind::kScratch)]);
  stats_.peak = std::max(stats_.peak, stats_.in_use[0] + stats_.in_use[1] + stats_.in_use[2]);
  return *buffer;
}

void BufferPool::Give(Buffer& buffer) noexcept {
  stats_.in_use[static_cast<size_t>(buffer.kind)] -= buffer.capacity;
  if (buffer.pool == nullptr) {
    if (free_bytes_ + buffer.capacity > FreeBytesBound()) return Destroy(&buffer);
    free_bytes_ += buffer.capacity;
  }
  Keep(free_[buffer.pool][buffer.capacity], buffer);
}

void BufferPool::Keep(std::vector<Buffer*>& list, Buffer& buffer) {
  const auto older = [](const Buffer* a, const Buffer* b) { return a->id > b->id; };
  list.insert(std::lower_bound(list.begin(), list.end(), &buffer, older), &buffer);
}

// Free memory may be as large as what tensors used at their peak, so that one run's memory serves the next
// one.
uint64_t BufferPool::FreeBytesBound() const { return std::max<uint64_t>(64 << 20, tensor_peak_); }

void BufferPool::Disown(const void* owner) {
  for (auto& [raw, buffer] : all_)
    if (buffer->pool == owner) buffer->pool = nullptr;
  if (auto it = free_.find(owner); it != free_.end()) {
    FreeLists lists = std::move(it->second);
    free_.erase(it);
    for (auto& [capacity, list] : lists)
      for (Buffer* buffer : list) {
        free_bytes_ += capacity;
        Keep(free_[nullptr][capacity], *buffer);
      }
  }
  if (free_bytes_ > FreeBytesBound()) Trim(FreeBytesBound());
}

void BufferPool::Trim(uint64_t keep_bytes) {
  auto& lists = free_[nullptr];
  for (auto it = lists.rbegin(); it != lists.rend() && free_bytes_ > keep_bytes; ++it)
    while (!it->second.empty() && free_bytes_ > keep_bytes) {
      free_bytes_ -= it->first;
      Destroy(it->second.back());
      it->second.pop_back();
    }
}

MemoryStats BufferPool::Stats() const { return stats_; }

Buffer& BufferPool::Create(uint64_t capacity) {
  Check(capacity <= max_buffer_, "A tensor of ", capacity, " bytes exceeds maxBufferSize (", max_buffer_,
        ") of the device; use a smaller batch, sequence or model.");
  if (limit_ != 0 && stats_.reserved + capacity > limit_) Trim(0);
  Check(limit_ == 0 || stats_.reserved + capacity <= limit_, "Allocating ", capacity,
        " bytes would exceed gpuMemoryLimit (", limit_, " bytes, ", stats_.reserved, " in use).");
  const WGPUBufferDescriptor descriptor{
      nullptr, Str("daybreak"),
      WGPUBufferUsage_Storage | WGPUBufferUsage_CopySrc | WGPUBufferUsage_CopyDst | WGPUBufferUsage_Indirect,
      capacity, WGPU_FALSE};
  // Closing a scope waits for the implementation, so only sizes that can fail on their own are checked at
  // once; the failure of a small buffer is reported by the next call on the device.
  std::optional<ErrorScope> scope;
  if (capacity >= kCheckedBytes) scope.emplace(gpu_);
  BufferHandle handle(wgpu.DeviceCreateBuffer(gpu_.device.get(), &descriptor));
  const std::string error = scope ? scope->Close() : "";
  Check(handle && error.empty(), "The device gave no buffer of ", capacity, " bytes (", stats_.reserved,
        " bytes in use): ", error);
  auto buffer = std::make_unique<Buffer>();
  buffer->handle = std::move(handle);
  buffer->id = next_id_++;
  buffer->capacity = capacity;
  addresses_.Place(*buffer);
  stats_.reserved += capacity;
  ++stats_.allocations;
  Buffer& result = *buffer;
  all_.emplace(&result, std::move(buffer));
  return result;
}

void BufferPool::Destroy(Buffer* buffer) {
  destroyed_(*buffer);
  ++destroyed_count_;
  addresses_.Remove(*buffer);
  stats_.reserved -= buffer->capacity;
  // Commands that are encoded or in flight keep the memory: only the reference goes, never wgpuBufferDestroy.
  all_.erase(buffer);
}

}  // namespace daybreak
