#include "gpu/segments.h"

#include <cctype>

#include "core/error.h"

namespace daybreak {
namespace {

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// A function that does `body` (with $ for the element's place) to the segment in which element i lies.
std::string OverSegments(const SegmentedBinding& b, const std::string& head, const std::string& body) {
  std::string s = "fn " + b.name + "_segments_" + head + " {\n";
  for (uint32_t n = 0; n < b.segments; ++n) {
    const std::string place =
        b.name + "_segment" + std::to_string(n) + "[i - " + std::to_string(n * b.elements) + "u]";
    std::string done = body;
    done.replace(done.find('$'), 1, place);
    if (n + 1 < b.segments)
      s += "  if (i < " + std::to_string((n + 1) * b.elements) + "u) { " + done + " }\n";
    else
      s += "  " + done + "\n";
  }
  return s + "}\n";
}

class Rewriter {
 public:
  explicit Rewriter(const std::set<std::string>& names) : names_(names) {}

  std::string Rewrite(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      while (end < text.size() && IsWord(text[end])) ++end;
      if (end == at) {
        out += text[at++];
        continue;
      }
      const std::string_view word = text.substr(at, end - at);
      const bool member = at > 0 && text[at - 1] == '.';
      if (!member && text.substr(end).starts_with('[') && names_.contains(std::string(word)))
        at = Access(text, std::string(word), end, out);
      else if (word.starts_with("atomic") && text.substr(end).starts_with("(&"))
        at = Atomic(text, std::string(word), end + 2, out);
      else {
        out += word;
        at = end;
      }
    }
    return out;
  }

 private:
  // The place behind the bracket that closes the one at `open`.
  static size_t Close(std::string_view text, size_t open) {
    size_t depth = 0;
    for (size_t at = open; at < text.size(); ++at) {
      if (text[at] == '[') ++depth;
      if (text[at] == ']' && --depth == 0) return at + 1;
    }
    Fail("A bracket is not closed in a shader.");
  }

  std::string Index(std::string_view text, size_t open, size_t close) {
    return "u32(" + Rewrite(text.substr(open + 1, close - open - 2)) + ")";
  }

  // NAME[...], with the bracket at `open`: a store where " = value;" follows, else a load.
  size_t Access(std::string_view text, const std::string& name, size_t open, std::string& out) {
    const size_t close = Close(text, open);
    const std::string index = Index(text, open, close);
    if (text.substr(close).starts_with(" = ")) {
      const size_t end = text.find(';', close);
      Check(end != text.npos, "A store into '", name, "' does not end in a shader.");
      out +=
          name + "_segments_store(" + index + ", " + Rewrite(text.substr(close + 3, end - close - 3)) + ")";
      return end;
    }
    out += name + "_segments_load(" + index + ")";
    return close;
  }

  // atomicX(&..., with the operand from `at`.
  size_t Atomic(std::string_view text, const std::string& function, size_t at, std::string& out) {
    const size_t open = text.find('[', at);
    const std::string name(text.substr(at, open == text.npos ? 0 : open - at));
    if (!names_.contains(name)) {
      out += function + "(&";
      return at;
    }
    const size_t close = Close(text, open);
    out += name + "_segments_" + function + "(" + Index(text, open, close);
    return close;
  }

  const std::set<std::string>& names_;
};

}  // namespace

std::string DeclareSegments(const SegmentedBinding& b, size_t first) {
  std::string s;
  for (uint32_t n = 0; n < b.segments; ++n)
    s += "@group(0) @binding(" + std::to_string(first + n) + ") var<storage, " +
         (b.output ? "read_write" : "read") + "> " + b.name + "_segment" + std::to_string(n) + ": array<" +
         b.name + "_t>;\n";
  if (b.atomic) {
    for (const char* function : {"atomicMax", "atomicExchange"})
      s += OverSegments(b, std::string(function) + "(i: u32, v: u32) -> u32",
                        "return " + std::string(function) + "(&$, v);");
    return s;
  }
  s += OverSegments(b, "load(i: u32) -> " + b.name + "_t", "return $;");
  if (b.output) s += OverSegments(b, "store(i: u32, v: " + b.name + "_t)", "$ = v; return;");
  return s;
}

std::string UseSegments(const std::string& text, const std::set<std::string>& names) {
  return names.empty() ? text : Rewriter(names).Rewrite(text);
}

}  // namespace daybreak
