// Choosing one of several kernels for a problem: a table, read from the top.
#pragma once

#include <cstdlib>
#include <string_view>

#include "core/op.h"

namespace daybreak {

// `can`: the kernel gives right results for this problem on this device. `prefers`: it is the one to take,
// unless an earlier line is.
template <class Problem>
struct Variant {
  const char* name;
  bool (*can)(const DeviceInfo&, const Problem&);
  bool (*prefers)(const DeviceInfo&, const Problem&);
  void (*run)(Plan&, const Problem&);
};

// True when the environment variable DAYBREAK_VARIANT (names separated by commas) asks for `name`. Tests and
// tuning force variants with it; it is read once.
bool IsForced(std::string_view name);

// Runs the forced variant if one is named and can run, else the first that can and is preferred, else the
// last that can.
template <class Problem, size_t N>
void RunVariant(Plan& p, const Problem& problem, const Variant<Problem> (&table)[N]) {
  const DeviceInfo& device = p.Device();
  const Variant<Problem>* chosen = nullptr;
  for (const Variant<Problem>& v : table) {
    if (!v.can(device, problem)) continue;
    if (IsForced(v.name)) return v.run(p, problem);
    const bool settled = chosen != nullptr && chosen->prefers(device, problem);
    if (!settled) chosen = &v;
  }
  Check(chosen != nullptr, "No kernel variant runs this problem on ", device.name, ".");
  chosen->run(p, problem);
}

}  // namespace daybreak
