#include "gpu/readahead.h"

#include <algorithm>
#include <utility>

namespace daybreak {
namespace {

constexpr int kRuns = 2;  // after which a read is foreseen
constexpr size_t kMaxHabits = 4;
constexpr size_t kMaxBytes = 8 << 20;

}  // namespace

bool ReadAhead::Foreseen(const Habit& habit) const { return habit.runs >= kRuns; }

void ReadAhead::Note(const Range& range) {
  const auto known = std::ranges::find(habits_, range, &Habit::range);
  if (known != habits_.end()) {
    known->read = true;
  } else if (habits_.size() < kMaxHabits && range.bytes <= kMaxBytes) {
    wgpu.BufferAddRef(range.buffer);
    habits_.push_back({range, BufferHandle(range.buffer), 0, true, std::nullopt});
  }
}

std::optional<Staging::Readback> ReadAhead::Take(const Range& range) {
  const auto known = std::ranges::find(habits_, range, &Habit::range);
  return known == habits_.end() ? std::nullopt : std::exchange(known->copy, std::nullopt);
}

bool ReadAhead::EndRun() {
  bool any = false;
  for (Habit& habit : habits_) {
    if (habit.copy) staging_.Return(*std::exchange(habit.copy, std::nullopt));
    habit.runs = std::exchange(habit.read, false) ? habit.runs + 1 : 0;
    any = any || Foreseen(habit);
  }
  std::erase_if(habits_, [](const Habit& habit) { return habit.runs == 0; });
  return any;
}

void ReadAhead::Encode(WGPUCommandEncoder encoder) {
  for (Habit& habit : habits_) {
    if (!Foreseen(habit)) continue;
    habit.copy = staging_.Take(habit.range.bytes);
    wgpu.CommandEncoderCopyBufferToBuffer(encoder, habit.range.buffer, habit.range.offset,
                                          habit.copy->buffer.get(), 0, habit.range.bytes);
  }
}

void ReadAhead::Map() {
  for (Habit& habit : habits_)
    if (habit.copy) staging_.Map(*habit.copy, habit.range.bytes);
}

void ReadAhead::Clear() {
  for (Habit& habit : habits_)
    if (habit.copy) staging_.Return(*std::exchange(habit.copy, std::nullopt));
  habits_.clear();
}

}  // namespace daybreak
