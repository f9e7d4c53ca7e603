// What a caller reads after every run, copied at the end of the next one before it asks: the bytes are on
// their way, or there, when it does. Guarded by the device's gate.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gpu/staging.h"

namespace daybreak {

class ReadAhead {
 public:
  explicit ReadAhead(Staging& staging) : staging_(staging) {}

  // Bytes of a buffer; offset and size are multiples of 4.
  struct Range {
    WGPUBuffer buffer = nullptr;
    uint64_t offset = 0;
    size_t bytes = 0;
    bool operator==(const Range&) const = default;
  };

  // The caller reads `range`, and no command came after the end of the last run.
  void Note(const Range& range);
  // What was copied of `range` since the last EndRun. The caller of this class knows whether the memory has
  // changed.
  std::optional<Staging::Readback> Take(const Range& range);

  // A run has ended: forgets what was not read after the one before. True when there is something to copy:
  // Encode goes into the last submit of the run, Map follows that.
  bool EndRun();
  void Encode(WGPUCommandEncoder encoder);
  void Map();

  // Forgets everything, with the buffers that it holds.
  void Clear();

 private:
  // Holds the buffer, so that no other one gets its handle.
  struct Habit {
    Range range;
    BufferHandle held;
    int runs = 0;  // in a row after which the range was read
    bool read = false;
    std::optional<Staging::Readback> copy;
  };
  bool Foreseen(const Habit& habit) const;

  Staging& staging_;
  std::vector<Habit> habits_;
};

}  // namespace daybreak
