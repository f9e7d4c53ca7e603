// Choosing one of several kernels for a problem: a table, read from the top.
#pragma once

#include <string_view>

#include "core/op.h"
#include "core/tuning.h"

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

// True when the list (names separated by commas) has `name`.
bool Names(std::string_view list, std::string_view name);

// True when `name` is asked for: by the environment variable DAYBREAK_VARIANT (a list, read once) or, where
// that is not set, for the problem that is planned by the run or by what tuning kept (core/tuning.h).
bool IsForced(std::string_view name);
// The same for a number, which the list has as NAME=NUMBER; `initial` where it has none. Whoever asks sees to
// it that the number suits the problem.
uint32_t Forced(std::string_view name, uint32_t initial);

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
  if (ProblemScope* scope = ProblemScope::Current()) scope->Note(chosen->name);
  chosen->run(p, problem);
}

}  // namespace daybreak
