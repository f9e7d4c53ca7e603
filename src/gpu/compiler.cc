#include "gpu/compiler.h"

#include <algorithm>
#include <system_error>

#include "gpu/pipelines.h"

namespace daybreak {

Compiler::~Compiler() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Compiler::Add(const Pipeline& pipeline, bool ahead) {
  std::lock_guard lock(mutex_);
  (ahead ? ahead_ : asked_).push_back(&pipeline);
  wake_.notify_one();
  const size_t wanted = asked_.size() + std::min(ahead_.size(), most_ahead_ - on_ahead_);
  if (idle_ >= wanted || threads_.size() >= most_) return;
  try {
    threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {  // Then those that run, or the thread that needs it, compile it.
  }
}

void Compiler::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(
        lock, [this] { return closing_ || !asked_.empty() || (!ahead_.empty() && on_ahead_ < most_ahead_); });
    --idle_;
    if (closing_) return;
    const bool ahead = asked_.empty();
    std::deque<const Pipeline*>& list = ahead ? ahead_ : asked_;
    const Pipeline& pipeline = *list.front();
    list.pop_front();
    on_ahead_ += ahead;
    lock.unlock();
    pipeline.Compile();
    lock.lock();
    on_ahead_ -= ahead;
  }
}

}  // namespace daybreak
