#include "core/tuning.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>

#include "core/op.h"
#include "core/variant.h"

namespace daybreak {
namespace {

std::vector<const Family*>& FamilyList() {
  static std::vector<const Family*> list;
  return list;
}

thread_local ProblemScope* current = nullptr;

std::string NameOf(const Family& family, DType type, std::initializer_list<Trait> traits) {
  std::string name;
  name.reserve(128);
  ((name += family.name) += ' ') += daybreak::NameOf(type);
  for (const Trait& t : traits) {
    char digits[24];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), t.value).ptr;
    ((name += ' ') += t.name) += '=';
    name.append(digits, end);
  }
  return name;
}

// What is wanted for the family: FAMILY:LIST is for one of them.
std::string_view For(const Family& family, std::string_view wanted) {
  const size_t colon = wanted.find(':');
  if (colon == wanted.npos) return wanted;
  return wanted.substr(0, colon) == family.name ? wanted.substr(colon + 1) : std::string_view();
}

}  // namespace

Family::Family(const char* family_name, std::initializer_list<const char*> lists)
    : name(family_name), choices(lists) {
  FamilyList().push_back(this);
}

std::span<const Family* const> Families() { return FamilyList(); }

std::map<std::string, std::string, std::less<>> ParseTuning(std::string_view text) {
  std::map<std::string, std::string, std::less<>> kept;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t tab = line.find('\t');
    if (tab == 0 || tab == line.npos) continue;
    const std::string_view rest = line.substr(tab + 1), variants = rest.substr(0, rest.find('\t'));
    if (!variants.empty()) kept.emplace(line.substr(0, tab), variants);
  }
  return kept;
}

int64_t SizeClass(int64_t n) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(n, 1))));
}

ProblemScope::ProblemScope(Plan& plan, const Family& family, DType type,
                           std::initializer_list<Trait> traits) {
  Tuning* tuning = plan.Tuned();
  if (current != nullptr || tuning == nullptr) return;
  if (tuning->kept.empty() && tuning->wanted.empty() && !tuning->noting) return;
  problem_ = NameOf(family, type, traits);
  wanted_ = For(family, tuning->wanted);
  if (wanted_.empty())
    if (const auto found = tuning->kept.find(problem_); found != tuning->kept.end()) wanted_ = found->second;
  if (tuning->noting) noted_in_ = tuning;
  current_ = true;
  current = this;
}

ProblemScope::~ProblemScope() {
  if (!current_) return;
  current = nullptr;
  if (noted_in_ != nullptr) noted_in_->problems[problem_] = applied_;
}

ProblemScope* ProblemScope::Current() { return current; }

void ProblemScope::Note(std::string_view variant) {
  if (noted_in_ == nullptr || Names(applied_, variant)) return;
  if (!applied_.empty()) applied_ += ',';
  applied_ += variant;
}

}  // namespace daybreak
