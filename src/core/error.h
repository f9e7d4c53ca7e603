// Errors are exceptions inside Daybreak; src/ep turns them into an OrtStatus at the C boundary.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace daybreak {

// An error whose text names the object, the value and the limit, and says what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Joins anything printable into one string.
template <class... A>
std::string Join(const A&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

// Throws an Error with the joined text.
template <class... A>
[[noreturn]] void Fail(const A&... parts) {
  throw Error(Join(parts...));
}

// Throws an Error with the joined text unless `ok`.
template <class... A>
void Check(bool ok, const A&... parts) {
  if (!ok) Fail(parts...);
}

}  // namespace daybreak
