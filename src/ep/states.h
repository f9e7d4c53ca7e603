// Device memory that kernels keep from run to run (Plan::State).
#pragma once

#include <map>
#include <mutex>

#include "core/tensor.h"
#include "gpu/device.h"

namespace daybreak {

// The states of a session. Runs may call it from several threads.
class States {
 public:
  States() = default;
  States(const States&) = delete;
  States& operator=(const States&) = delete;

  // The state of this size, which is made, and filled with zeros, at the first call.
  const Tensor* Of(Device& device, size_t bytes);
  void Release(Device& device) noexcept;

 private:
  std::mutex mutex_;
  std::map<size_t, Tensor> states_;
};

}  // namespace daybreak
