#include "core/variant.h"

namespace daybreak {

bool IsForced(std::string_view name) {
  static const std::string list = [] {
    const char* value = std::getenv("DAYBREAK_VARIANT");
    return value ? "," + std::string(value) + "," : std::string();
  }();
  return !list.empty() && list.find("," + std::string(name) + ",") != std::string::npos;
}

}  // namespace daybreak
