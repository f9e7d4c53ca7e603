// Prints what the reference pages of docs are made of (see tools/pages.py).
// usage: daybreak_pages rows | options      rows: one JSON object a line; options: the page itself
#include <cstring>
#include <iostream>

#include "core/op.h"
#include "ep/options.h"

namespace {

// The texts of a row are plain words: nothing in them needs escaping.
void PrintRows() {
  for (const daybreak::OpDef& row : daybreak::Ops()) {
    std::cout << "{\"domain\": \"" << row.domain << "\", \"name\": \"" << row.name
              << "\", \"since\": " << row.since << ", \"until\": ";
    if (row.until == daybreak::kNewest)
      std::cout << "null";
    else
      std::cout << row.until;
    std::cout << ", \"types\": \"" << row.types << "\", \"host\": \"" << row.host << "\", \"host_eager\": \""
              << row.host_eager << "\", \"alias\": \"" << row.alias
              << "\", \"declines\": " << (row.declines ? "true" : "false") << "}\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* what = argc == 2 ? argv[1] : "";
  if (std::strcmp(what, "rows") == 0) {
    PrintRows();
  } else if (std::strcmp(what, "options") == 0) {
    std::cout << daybreak::OptionsPage();
  } else {
    std::cerr << "usage: daybreak_pages rows | options\n";
    return 2;
  }
}
