// Runs `tint`, where a machine has it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace daybreak {

inline bool HasTint() {
  static const bool found = std::system("command -v tint >/dev/null 2>&1") == 0;
  return found;
}

// What tint says about a shader; "" when it compiles.
inline std::string TintErrors(const std::string& wgsl) {
  const std::string file = testing::TempDir() + "daybreak_" + std::to_string(getpid()) + ".wgsl";
  std::ofstream(file) << wgsl;
  std::string said;
  FILE* pipe = popen(("tint " + file + " -f wgsl -o /dev/null 2>&1").c_str(), "r");
  char line[512];
  while (std::fgets(line, sizeof line, pipe)) said += line;
  const int status = pclose(pipe);
  std::remove(file.c_str());
  return status == 0 ? "" : said;
}

}  // namespace daybreak
