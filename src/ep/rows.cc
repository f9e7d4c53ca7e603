#include "ep/rows.h"

#include <algorithm>
#include <sstream>

#include "ep/api.h"

namespace daybreak {

std::vector<size_t> ParseIndices(const char* text) {
  std::vector<size_t> list;
  std::istringstream words(text);
  for (size_t i; words >> i;) list.push_back(i);
  Check(words.eof(), "The row's index list '", text, "' is not a list of numbers.");
  return list;
}

std::vector<std::pair<int, int>> ParseAliases(const char* text) {
  std::vector<std::pair<int, int>> list;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t arrow = word.find('>');
    Check(arrow != std::string::npos, "The row's alias '", text, "' is not of the form 0>0.");
    list.emplace_back(std::stoi(word.substr(0, arrow)), std::stoi(word.substr(arrow + 1)));
  }
  return list;
}

std::vector<TypeRule> ParseTypes(const char* text) {
  std::vector<TypeRule> rules;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ';');) {
    const size_t colon = part.find(':');
    Check(colon != std::string::npos, "The row's types '", text, "' are not of the form 'T: f32 f16'.");
    TypeRule rule;
    std::istringstream(part.substr(0, colon)) >> rule.name;
    std::istringstream words(part.substr(colon + 1));
    for (std::string word; words >> word;) {
      if (word == "*") {
        rule.types = AllTypes();
        continue;
      }
      rule.types.push_back(DTypeOf(word));
      Check(rule.types.back() != DType::kUndefined, "The row's type '", word, "' is none.");
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

bool Lists(const std::vector<size_t>& list, size_t i) {
  return std::find(list.begin(), list.end(), i) != list.end();
}

std::vector<size_t> HostInputs(const OpDef& row, bool capture) {
  std::vector<size_t> list = ParseIndices(row.host);
  if (!capture)
    for (const size_t i : ParseIndices(row.host_eager)) list.push_back(i);
  return list;
}

}  // namespace daybreak
