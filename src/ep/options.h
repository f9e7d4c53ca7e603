// The session options of the EP: one table with the official keys and Daybreak's own. Free of ONNX Runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace daybreak {

struct DeviceOptions;

enum class OptionKind : uint8_t {
  kFlag,     // "0" or "1"
  kInteger,  // in [low, high], or one of `choices`
  kChoice,   // one of `choices`
  kText,     // anything
};

struct OptionDef {
  const char* key;
  const char* initial;  // the value when the option is not given
  OptionKind kind;
  bool
      effective;  // false: an official key that means nothing here; giving another value than `initial` warns
  const char* meaning;
  const char* choices = "";  // separated by '|'
  int64_t low = 0, high = 0;
};

// All options in the order of docs/options.md.
std::span<const OptionDef> OptionTable();

// The text of docs/options.md.
std::string OptionsPage();

// The options of one session, complete with the initial values.
class Options {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  // Throws an Error that lists the valid keys or values when `given` has an unknown key or a bad value.
  // `warn` is called for official keys that mean nothing here.
  explicit Options(const Pairs& given = {}, const std::function<void(const std::string&)>& warn = {});

  // Each throws an Error when there is no option `key`. Numbers and flags are 0 when the text is no number.
  const std::string& Text(std::string_view key) const;
  int64_t Int(std::string_view key) const;
  bool Flag(std::string_view key) const { return Int(key) != 0; }

  // What a device is opened with.
  DeviceOptions ForDevice() const;

 private:
  struct Entry {
    std::string_view key;
    std::string text;
    int64_t number = 0;
  };
  const Entry& Find(std::string_view key) const;
  std::vector<Entry> entries_;
};

}  // namespace daybreak
