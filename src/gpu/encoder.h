// A thread that encodes and submits, so that planning and the WebGPU implementation work side by side: of the
// time that a dispatch takes the CPU, most is spent in the implementation and the driver.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <future>
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
  void EndRun();
  // Waits until all of that is done. The caller may use the queue itself until it calls Encode or EndRun.
  Queue& Idle();
  // A run begins: the thread is awake when its first command comes.
  void Wake();
  // Encodes on the thread what SubmitRun takes, while others use the queue. The commands stay where they are
  // until the future is ready.
  std::future<std::vector<Encoded>> EncodeAhead(std::span<const HeldCommand> commands);

 private:
  using Task = std::optional<HeldCommand>;  // nothing: the end of a run
  using Ahead = std::packaged_task<std::vector<Encoded>()>;
  void Post(Task task);
  void Run();
  // Sleeps until there is something to do; false when the thread ends.
  bool Await(std::vector<Task>& tasks, std::optional<Ahead>& ahead);
  void Do(std::vector<Task>& tasks);

  Queue& queue_;
  std::mutex mutex_;
  std::condition_variable posted_, finished_;
  // Guarded by mutex_.
  std::vector<Task> tasks_;
  std::deque<Ahead> ahead_;
  std::exception_ptr error_;
  bool stop_ = false, asleep_ = false, woken_ = false;

  std::atomic<uint64_t> sent_ = 0, done_ = 0;  // tasks
  std::atomic<bool> any_ahead_ = false;
  std::thread thread_;
};

}  // namespace daybreak
