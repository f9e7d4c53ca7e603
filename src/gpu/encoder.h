// A thread that encodes and submits, so that planning and the WebGPU implementation work side by side: of the
// time that a dispatch takes the CPU, most is spent in the implementation and the driver.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gpu/queue.h"

namespace daybreak {

// Owns the commands that it was given until the queue has them. Callers hold the device's lock.
class Encoder {
 public:
  explicit Encoder(Queue& queue);
  ~Encoder();
  Encoder(const Encoder&) = delete;

  // In order, and soon. What fails is thrown by the next Idle; commands after it are dropped.
  void Encode(const Command& command);
  void Flush();
  // Waits until all of that is done. The caller may use the queue itself until it calls Encode or Flush.
  Queue& Idle();

 private:
  using Task = std::optional<HeldCommand>;  // nothing: a flush
  void Post(Task task);
  void Run();
  void Do(std::vector<Task>& tasks);

  Queue& queue_;
  std::mutex mutex_;
  std::condition_variable posted_, finished_;
  std::vector<Task> tasks_;             // guarded by mutex_
  std::exception_ptr error_;            // guarded by mutex_
  bool stop_ = false, asleep_ = false;  // guarded by mutex_
  std::atomic<uint64_t> sent_ = 0, done_ = 0;
  std::thread thread_;
};

}  // namespace daybreak
