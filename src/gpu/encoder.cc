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

void Encoder::EndRun() { Post(std::nullopt); }

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

void Encoder::Wake() {
  {
    std::lock_guard lock(mutex_);
    if (!std::exchange(asleep_, false)) return;
    woken_ = true;
  }
  posted_.notify_one();
}

std::future<std::vector<Encoded>> Encoder::EncodeAhead(std::span<const HeldCommand> commands) {
  Ahead ahead([this, commands] { return queue_.EncodeAhead(commands); });
  std::future<std::vector<Encoded>> made = ahead.get_future();
  {
    std::lock_guard lock(mutex_);
    ahead_.push_back(std::move(ahead));
    any_ahead_ = true;
    if (!std::exchange(asleep_, false)) return made;
  }
  posted_.notify_one();
  return made;
}

bool Encoder::Await(std::vector<Task>& tasks, std::optional<Ahead>& ahead) {
  SpinUntil([&] { return sent_ != done_ || any_ahead_; });
  std::unique_lock lock(mutex_);
  const auto wanted = [&] { return stop_ || woken_ || !tasks_.empty() || !ahead_.empty(); };
  asleep_ = !wanted();
  posted_.wait(lock, wanted);
  asleep_ = woken_ = false;
  if (!tasks_.empty()) {
    tasks.swap(tasks_);
  } else if (!ahead_.empty()) {
    ahead = std::move(ahead_.front());
    ahead_.pop_front();
    any_ahead_ = !ahead_.empty();
  } else {
    return !stop_;
  }
  return true;
}

void Encoder::Run() {
  std::vector<Task> tasks;
  std::optional<Ahead> ahead;
  while (Await(tasks, ahead)) {
    if (ahead) (*std::exchange(ahead, std::nullopt))();
    if (!tasks.empty()) Do(tasks);
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
        queue_.EndRun();
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
