// What decides between variants besides their tables: what `daybreak tune` measured, and what a run asks for.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace daybreak {

class Plan;

// Problems that one kind of kernel solves, and what tuning tries for them beside what the tables prefer:
// lists of variants as DAYBREAK_VARIANT takes them (core/variant.h). A list may name what a device cannot
// run. Families are namespace-scope objects.
struct Family {
  Family(const char* family_name, std::initializer_list<const char*> lists);
  Family(const Family&) = delete;

  const char* const name;
  const std::vector<const char*> choices;
};

// Every family, in no particular order.
std::span<const Family* const> Families();

// What one session knows. `kept` and `wanted` are lists of variants.
struct Tuning {
  std::map<std::string, std::string, std::less<>> kept;  // by problem
  std::string wanted;                           // by this run: LIST, or FAMILY:LIST; goes before `kept`
  bool noting = false;                          // what is planned is written down:
  std::map<std::string, std::string> problems;  // and the variants that had a say
};

// `text` as `daybreak tune` keeps it: lines of a problem, a tab, its variants, and after another tab what
// people may want to read. Lines that are not so are left out.
std::map<std::string, std::string, std::less<>> ParseTuning(std::string_view text);

// The power of two, not below n, that stands for n in the name of a problem: sizes of a class share a result.
int64_t SizeClass(int64_t n);

// What makes a problem another one for a family, for example {"k", 2048}.
struct Trait {
  const char* name;
  int64_t value;
};

// While it lives, IsForced and Forced (core/variant.h) answer for this problem of the calling thread's plan.
// A scope inside another one changes nothing, so that a node is one problem.
class ProblemScope {
 public:
  ProblemScope(Plan& plan, const Family& family, DType type, std::initializer_list<Trait> traits);
  ~ProblemScope();
  ProblemScope(const ProblemScope&) = delete;

  // The scope of the calling thread, or nullptr.
  static ProblemScope* Current();
  // "nbits f16 m=1 n=2048 k=2048 bits=4 block=32"
  const std::string& problem() const { return problem_; }
  // The variants that had a say so far, separated by commas; for profiles.
  const std::string& applied() const { return applied_; }
  const std::string& wanted() const { return wanted_; }
  void Note(std::string_view variant);

 private:
  bool current_ = false;
  Tuning* noted_in_ = nullptr;
  std::string problem_, wanted_, applied_;
};

}  // namespace daybreak
