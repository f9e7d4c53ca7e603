#include "gpu/expand.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <vector>

#include "core/shaders.h"

namespace daybreak {
namespace {

std::string_view FileText(const Dispatch& d, std::string_view name) {
  for (const ShaderFile& file : ShaderFiles())
    if (file.name == name) return file.text;
  Fail("Shader '", d.shader, "': there is no file '", name, ".wgsl'.");
}

template <class T>
T ConstOf(const Dispatch& d, std::string_view directive, std::string_view name, const char* kind) {
  for (const Const& c : d.consts)
    if (name == c.name) {
      const T* v = std::get_if<T>(&c.value);
      Check(v != nullptr, "Shader '", d.shader, "': ", directive, " ", name, " needs a ", kind, " constant.");
      return *v;
    }
  Fail("Shader '", d.shader, "': ", directive, " names the constant '", name,
       "', which the dispatch does not give.");
}

// Takes the first line off the text.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size() - 1);
  const std::string_view line = text.substr(0, end + 1);
  text.remove_prefix(end + 1);
  return line;
}

std::string_view Trimmed(std::string_view line) { return line.substr(0, line.find_last_not_of(" \r\n") + 1); }

// Text with every $variable replaced by the number.
std::string Substitute(std::string_view text, std::string_view variable, uint32_t number) {
  const std::string name = "$" + std::string(variable);
  std::string out;
  for (size_t at = text.find(name); at != text.npos; at = text.find(name)) {
    out += std::string(text.substr(0, at)) + std::to_string(number);
    text.remove_prefix(at + name.size());
  }
  return out.append(text);
}

class Expander {
 public:
  explicit Expander(const Dispatch& dispatch) : d_(dispatch) {}

  void Add(std::string_view text) {
    std::vector<bool> keep{true};
    while (!text.empty()) {
      const std::string_view line = TakeLine(text), word = Trimmed(line);
      if (word.starts_with("#if ")) {
        const bool negated = word.starts_with("#if !");
        const std::string_view name = word.substr(negated ? 5 : 4);
        keep.push_back(keep.back() && ConstOf<bool>(d_, "#if", name, "bool") != negated);
      } else if (word == "#else") {
        Check(keep.size() > 1, "Shader '", d_.shader, "': #else without #if.");
        keep.back() = !keep.back() && keep[keep.size() - 2];
      } else if (word == "#endif") {
        Check(keep.size() > 1, "Shader '", d_.shader, "': #endif without #if.");
        keep.pop_back();
      } else if (!keep.back()) {
        continue;
      } else if (word.starts_with("#for ")) {
        Repeat(word.substr(5), TakeLoop(text));
      } else if (word.starts_with("#include \"")) {
        Include(word.substr(10, word.rfind('"') - 10));
      } else {
        out_ += line.substr(0, line.find("//"));
        if (line.find("//") != line.npos) out_ += '\n';
      }
    }
    Check(keep.size() == 1, "Shader '", d_.shader, "': #if without #endif.");
  }
  std::string Take() { return std::move(out_); }

 private:
  void Include(std::string_view name) {
    if (name.ends_with(".wgsl")) name.remove_suffix(5);
    if (included_.insert(std::string(name)).second) Add(FileText(d_, name));
  }

  // The lines up to the #endfor that belongs to a loop whose #for is behind.
  std::string_view TakeLoop(std::string_view& text) {
    const std::string_view start = text;
    for (int depth = 1; !text.empty();) {
      const std::string_view before = text, word = Trimmed(TakeLine(text));
      if (word.starts_with("#for ")) ++depth;
      if (word == "#endfor" && --depth == 0) return start.substr(0, start.size() - before.size());
    }
    Fail("Shader '", d_.shader, "': #for without #endfor.");
  }

  void Repeat(std::string_view head, std::string_view body) {
    const size_t space = head.find(' ');
    Check(space != head.npos, "Shader '", d_.shader, "': #for ", head, " lacks a count.");
    const std::string_view variable = head.substr(0, space), bound = head.substr(space + 1);
    uint32_t count = 0;
    const auto [end, error] = std::from_chars(bound.data(), bound.data() + bound.size(), count);
    if (error != std::errc()) count = ConstOf<uint32_t>(d_, "#for", bound, "u32");
    for (uint32_t i = 0; i < count; ++i) Add(Substitute(body, variable, i));
  }

  const Dispatch& d_;
  std::set<std::string> included_;
  std::string out_;
};

}  // namespace

std::string Expand(const Dispatch& dispatch) {
  Expander expander(dispatch);
  expander.Add(FileText(dispatch, dispatch.shader));
  return expander.Take();
}

}  // namespace daybreak
