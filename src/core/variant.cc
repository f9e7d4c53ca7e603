#include "core/variant.h"

#include <charconv>
#include <cstdlib>

namespace daybreak {
namespace {

// The rest of the entry of `list` that begins with `start`, or one without data where there is none.
std::string_view After(std::string_view list, std::string_view start) {
  while (true) {
    const std::string_view entry = list.substr(0, list.find(','));
    if (entry.starts_with(start)) return entry.substr(start.size());
    if (entry.size() == list.size()) return {};
    list.remove_prefix(entry.size() + 1);
  }
}

// What is asked for now.
std::string_view Wanted() {
  static const std::string everywhere = [] {
    const char* value = std::getenv("DAYBREAK_VARIANT");
    return std::string(value ? value : "");
  }();
  if (!everywhere.empty()) return everywhere;
  const ProblemScope* scope = ProblemScope::Current();
  return scope ? std::string_view(scope->wanted()) : std::string_view();
}

void Note(std::string_view entry) {
  if (ProblemScope* scope = ProblemScope::Current()) scope->Note(entry);
}

}  // namespace

bool Names(std::string_view list, std::string_view name) {
  for (size_t at = list.find(name); at != list.npos; at = list.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || list[at - 1] == ',') && (end == list.size() || list[end] == ',')) return true;
  }
  return false;
}

bool IsForced(std::string_view name) {
  const std::string_view wanted = Wanted();
  if (wanted.empty() || !Names(wanted, name)) return false;
  Note(name);
  return true;
}

uint32_t Forced(std::string_view name, uint32_t initial) {
  const std::string_view wanted = Wanted();
  if (wanted.empty()) return initial;
  const std::string start = std::string(name) + "=";
  const std::string_view digits = After(wanted, start);
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return initial;
  Note(start + std::string(digits));
  return number;
}

}  // namespace daybreak
