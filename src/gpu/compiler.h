// The threads that compile the pipelines of one device.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace daybreak {

class Pipeline;

// Pipelines must outlive the compiler. All functions may be called from any thread.
class Compiler {
 public:
  // `threads`: most at a time, and `ahead` of them on what nobody waits for, so that it leaves room for the
  // rest of the process. They start as they are needed.
  Compiler(size_t threads, size_t ahead) : most_(threads), most_ahead_(ahead) {}
  // Drops what nobody has begun and waits for what has been.
  ~Compiler();
  Compiler(const Compiler&) = delete;

  // In the order of the calls; those that nobody waits for yet (`ahead`) come after all others. What was
  // added ahead may be added again without, and then comes forward.
  void Add(const Pipeline& pipeline, bool ahead);

 private:
  void Work();

  const size_t most_, most_ahead_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<const Pipeline*> asked_, ahead_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0, on_ahead_ = 0;  // threads
  bool closing_ = false;
};

}  // namespace daybreak
