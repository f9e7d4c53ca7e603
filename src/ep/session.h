// What the parts of one session share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tuning.h"
#include "ep/api.h"
#include "ep/fusion.h"
#include "ep/options.h"
#include "ep/packing.h"
#include "ep/slot.h"
#include "ep/states.h"
#include "gpu/device.h"

namespace daybreak {

struct Session {
  ~Session() {
    if (device) {
      packing.Release(*device);
      states.Release(*device);
      slot->CloseSession();
    }
  }

  std::string ep_name;
  std::shared_ptr<Slot> slot;
  std::shared_ptr<Device> device;
  Options options;
  const OrtLogger* logger = nullptr;
  uint64_t model = 0;        // fingerprint of the graph
  bool cpu_fallback = true;  // session.disable_cpu_ep_fallback is not set
  RunContext run;            // of the run that is going on
  Tuning tuning;             // what chooses variants
  std::map<std::string, Fusion>
      fusions;  // claimed in the graph that ORT asked for last, by name of an output

  Packing packing;  // constants in the order of kernels
  States states;    // what kernels keep from run to run

  bool capture = false;          // enableGraphCapture
  std::vector<void*> constants;  // device memory with CPU values that the recording reads
};

// The session of an OrtEp that this library made.
Session& SessionOf(const OrtEp* ep);

}  // namespace daybreak
