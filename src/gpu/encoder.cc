#include "gpu/encoder.h"

#include <chrono>
#include <utility>

namespace daybreak {
namespace {

constexpr uint64_t kMostWaiting = 2048;  // commands that may wait for the thread
// Waking a thread takes longer than a dispatch: nobody sleeps within a run and, where there are cores to
// spare, from one token to the next.
std::chrono::microseconds SpinTime() {
  static const bool spare = std::thread::hardware_concurrency() >= 4;
  return std::chrono::microseconds(spare ? 1000 : 50);
}

template <class Condition>
bool SpinUntil(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + SpinTime();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

Encoder::Encoder(Queue& queue) : queue_(queue), thread_([this] { Run(); }) {}

Encoder::~Encoder() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  posted_.notify_one();
  thread_.join();
}

void Encoder::Encode(const Command& command) { Post(Hold(command)); }

void Encoder::Flush() { Post(std::nullopt); }

void Encoder::Post(Task task) {
  if (sent_ - done_ >= kMostWaiting) {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return sent_ - done_ < kMostWaiting / 2; });
  }
  bool wake;
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    ++sent_;
    wake = std::exchange(asleep_, false);
  }
  if (wake) posted_.notify_one();
}

Queue& Encoder::Idle() {
  const auto idle = [&] { return done_ == sent_; };
  if (!SpinUntil(idle)) {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, idle);
  }
  std::unique_lock lock(mutex_);
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
  return queue_;
}

void Encoder::Run() {
  std::vector<Task> tasks;
  while (true) {
    SpinUntil([&] { return sent_ != done_; });
    {
      std::unique_lock lock(mutex_);
      asleep_ = tasks_.empty();
      posted_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
      asleep_ = false;
      if (tasks_.empty()) return;
      tasks.swap(tasks_);
    }
    Do(tasks);
    tasks.clear();
  }
}

void Encoder::Do(std::vector<Task>& tasks) {
  static const std::vector<Timings*> kUntimed;
  std::unique_lock lock(mutex_);
  std::exception_ptr error = error_;
  lock.unlock();
  try {
    for (const Task& task : tasks) {
      if (error) break;
      if (task)
        queue_.Encode(task->command, nullptr, kUntimed);
      else
        queue_.Flush();
    }
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  error_ = error;
  done_ += tasks.size();
  finished_.notify_all();
}

}  // namespace daybreak
