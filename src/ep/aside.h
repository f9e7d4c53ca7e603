// Commands that are no part of the run that is going on.
#pragma once

#include "gpu/device.h"

namespace daybreak {

// While it lives, the thread issues commands at once, none is recorded or timed, and memory belongs to no
// recording.
class Aside {
 public:
  explicit Aside(Device& device) : device_(device), run_(device.SetRunContext(nullptr)) {
    if (run_ == nullptr) return;
    aside_.model = run_->model;
    device.SetRunContext(&aside_);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  ~Aside() { device_.SetRunContext(run_); }

 private:
  Device& device_;
  RunContext* run_;
  RunContext aside_;
};

}  // namespace daybreak
