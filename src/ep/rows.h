// Reading the text fields of operator rows.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/op.h"

namespace daybreak {

// "1 2" as numbers.
std::vector<size_t> ParseIndices(const char* text);

// "0>0 1>2" as pairs (input, output).
std::vector<std::pair<int, int>> ParseAliases(const char* text);

// "T: f32 f16; Tind: i32 i64" as constraint names with their types; "*" is every type.
struct TypeRule {
  std::string name;
  std::vector<DType> types;
};
std::vector<TypeRule> ParseTypes(const char* text);

// True when the list has `i`.
bool Lists(const std::vector<size_t>& list, size_t i);

// Inputs that the row's kernel reads on the CPU in a session with or without graph capture.
std::vector<size_t> HostInputs(const OpDef& row, bool capture);

}  // namespace daybreak
