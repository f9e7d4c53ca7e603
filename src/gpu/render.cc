#include "gpu/render.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>

#include "gpu/expand.h"
#include "gpu/hash.h"

namespace daybreak {
namespace {

using Text = std::string;

// --- Parameters
// -----------------------------------------------------------------------------------------------------

size_t Vectors(const Ints& list) { return std::max<size_t>(1, CeilDiv<size_t>(list.size(), 4)); }

Text DeclareParams(const Dispatch& d, bool immediate, size_t index) {
  Text fields, accessors;
  for (const Param& p : d.params) {
    const auto* list = std::get_if<Ints>(&p.value);
    if (list == nullptr) continue;
    const Text name = p.name;
    for (size_t v = 0; v < Vectors(*list); ++v)
      fields += "  " + name + "_" + std::to_string(v) + ": vec4<u32>,\n";
    accessors += "fn " + name + "_at(i: u32) -> u32 {\n";
    if (Vectors(*list) == 2) accessors += "  if (i >= 4u) { return params." + name + "_1[i & 3u]; }\n";
    accessors += "  return params." + name + "_0[i & 3u];\n}\n";
  }
  constexpr const char* kKinds[] = {"u32", "i32", "f32"};
  for (const Param& p : d.params)
    if (!std::holds_alternative<Ints>(p.value))
      fields += "  " + Text(p.name) + ": " + kKinds[p.value.index()] + ",\n";
  if (fields.empty()) return "";
  const Text variable =
      immediate ? "var<immediate> params: Params;\n"
                : "@group(0) @binding(" + std::to_string(index) + ") var<uniform> params: Params;\n";
  return "struct Params {\n" + fields + "}\n" + variable + accessors;
}

// --- Constants
// ------------------------------------------------------------------------------------------------------

struct DeclareConst {
  Text name;
  Text operator()(bool v) const { return "const " + name + " = " + (v ? "true" : "false") + ";\n"; }
  Text operator()(uint32_t v) const { return "const " + name + " = " + std::to_string(v) + "u;\n"; }
  Text operator()(int32_t v) const { return "const " + name + ": i32 = " + std::to_string(v) + ";\n"; }
  Text operator()(float v) const {
    Check(std::isfinite(v), "Constant '", name, "' is ", v, ", which WGSL cannot express.");
    char text[48];  // near the largest value, nine digits would round beyond it
    std::snprintf(text, sizeof text, std::fabs(v) > 3.4e38f ? "%a" : "%.9g", static_cast<double>(v));
    return "const " + name + ": f32 = " + text + (std::strpbrk(text, ".e") ? "" : ".0") + ";\n";
  }
  Text operator()(const char* alias) const { return "alias " + name + " = " + alias + ";\n"; }
  Text operator()(Code code) const { return Text(code.text) + "\n"; }
};

// --- Bindings
// -------------------------------------------------------------------------------------------------------

// How one element type is stored and computed with.
struct Layout {
  const char* storage;  // WGSL type of a storage word
  const char* value;    // WGSL type of the value
  uint32_t per_word;    // elements in a word
  const char* get;      // value from `w` (the word, or its bits shifted down to the element)
  const char* bits;     // word (or element bits) from the value `v`
};

const Layout& LayoutOf(DType type) {
  static const Layout f32{"f32", "f32", 1, "w", "v"};
  static const Layout f16{"f16", "f32", 1, "f32(w)", "f16(v)"};
  static const Layout bf16{"u32", "f32", 2, "bitcast<f32>(w << 16u)", "bf16_bits(v)"};
  static const Layout i32{"i32", "i32", 1, "w", "v"};
  static const Layout u32{"u32", "u32", 1, "w", "v"};
  static const Layout x64{"vec2<u32>", "vec2<u32>", 1, "w", "v"};
  static const Layout i16{"u32", "i32", 2, "extractBits(bitcast<i32>(w), 0u, 16u)",
                          "bitcast<u32>(v) & 0xffffu"};
  static const Layout u16{"u32", "u32", 2, "w & 0xffffu", "v & 0xffffu"};
  static const Layout i8{"u32", "i32", 4, "extractBits(bitcast<i32>(w), 0u, 8u)", "bitcast<u32>(v) & 0xffu"};
  static const Layout u8{"u32", "u32", 4, "w & 0xffu", "v & 0xffu"};
  static const Layout bool8{"u32", "bool", 4, "(w & 0xffu) != 0u", "select(0u, 1u, v)"};
  static const Layout i4{"u32", "i32", 8, "extractBits(bitcast<i32>(w), 0u, 4u)", "bitcast<u32>(v) & 0xfu"};
  static const Layout u4{"u32", "u32", 8, "w & 0xfu", "v & 0xfu"};
  switch (type) {
    case DType::kF32:
      return f32;
    case DType::kF16:
      return f16;
    case DType::kBF16:
      return bf16;
    case DType::kI32:
      return i32;
    case DType::kU32:
      return u32;
    case DType::kF64:
    case DType::kI64:
    case DType::kU64:
      return x64;
    case DType::kI16:
      return i16;
    case DType::kU16:
      return u16;
    case DType::kI8:
      return i8;
    case DType::kU8:
      return u8;
    case DType::kBool:
      return bool8;
    case DType::kI4:
      return i4;
    case DType::kU4:
      return u4;
    case DType::kUndefined:
      break;
  }
  Fail("A binding has no element type.");
}

bool IsWords(const Bind& b) { return b.view == View::kWords || b.view == View::kAtomic; }
DType TypeOf(const Bind& b) { return b.view == View::kRaw ? RawOf(b.tensor->type) : b.tensor->type; }

Text Vector(const Text& scalar, uint32_t width) {
  return width == 1 ? scalar : "vec" + std::to_string(width) + "<" + scalar + ">";
}

// Text with every `$` replaced by the binding's name and `#` by `number`.
Text Fill(Text text, const Text& name, uint32_t number) {
  Text out;
  for (const char c : text) {
    if (c == '$')
      out += name;
    else if (c == '#')
      out += std::to_string(number) + "u";
    else
      out += c;
  }
  return out;
}

// x_get, x_put and x_emit of a typed binding.
Text Accessors(const Bind& b, bool output, bool emits) {
  const Layout& l = LayoutOf(TypeOf(b));
  const uint32_t shift = l.per_word == 1 ? 0 : 32 / l.per_word;
  Text s = "alias $_v = " + Text(l.value) +
           ";\nconst $_per_thread = " + std::to_string(b.width > 1 ? b.width : l.per_word) + "u;\n";
  if (l.per_word > 1) {
    s += "fn $_get(i: u32) -> $_v {\n  let w = $[i / #] >> ((i % #) * " + std::to_string(shift) +
         "u);\n  return " + l.get + ";\n}\n";
  } else if (b.width > 1) {
    s += "fn $_get(i: u32) -> $_v {\n  let w = $[i / #][i % #];\n  return " + Text(l.get) + ";\n}\n";
  } else {
    s += "fn $_get(i: u32) -> $_v {\n  let w = $[i];\n  return " + Text(l.get) + ";\n}\n";
  }
  if (output && l.per_word == 1 && b.width == 1)
    s += "fn $_put(i: u32, v: $_v) { $[i] = " + Text(l.bits) + "; }\n";
  if (output) s += "fn $_bits(v: $_v) -> " + Text(l.storage) + " { return " + l.bits + "; }\n";
  if (output && emits) {
    s += "fn $_emit(word: u32) {\n  let first = word * $_per_thread;\n  if (first >= params.size) { return; "
         "}\n";
    if (l.per_word > 1) {
      s += "  var bits = 0u;\n  for (var k = 0u; k < min(#, params.size - first); k++) {\n"
           "    bits |= $_bits($_at(first + k)) << (k * " +
           std::to_string(shift) + "u);\n  }\n  $[word] = bits;\n}\n";
    } else if (b.width > 1) {
      s += "  let last = params.size - 1u;\n  $[word] = $_t(";
      for (uint32_t k = 0; k < b.width; ++k)
        s += Text(k ? ", " : "") + "$_bits($_at(min(first + " + std::to_string(k) + "u, last)))";
      s += ");\n}\n";
    } else {
      s += "  $[word] = $_bits($_at(word));\n}\n";
    }
  }
  return Fill(s, b.name, b.width > 1 ? b.width : l.per_word);
}

// Bytes of one storage word (or vector) of a binding.
uint64_t WordBytes(const Bind& b) {
  if (IsWords(b)) return 4 * b.width;
  return b.width * (TypeOf(b) == DType::kF16 ? 2 : LayoutOf(TypeOf(b)).storage[0] == 'v' ? 8 : 4);
}

// The variable of a binding, or those of its segments, from binding number `index` on.
Text DeclareVariables(const Bind& b, bool output, size_t index, uint32_t segments, uint64_t segment_bytes) {
  if (segments > 1)
    return DeclareSegments({.name = b.name,
                            .segments = segments,
                            .elements = segment_bytes / WordBytes(b),
                            .output = output,
                            .atomic = b.view == View::kAtomic},
                           index);
  return Fill("@group(0) @binding(" + std::to_string(index) + ") var<storage, " +
                  (output ? "read_write" : "read") + "> $: array<$_t>;\n",
              b.name, 0);
}

Text DeclareBinding(const Bind& b, bool output, const Text& variables, const Text& body) {
  Check(b.width == 1 || b.width == 2 || b.width == 4, "Binding '", b.name, "' has width ", b.width, ".");
  const Text storage = b.view == View::kAtomic  ? "atomic<u32>"
                       : b.view == View::kWords ? Vector("u32", b.width)
                                                : Vector(LayoutOf(TypeOf(b)).storage, b.width);
  const Text s = "alias " + Text(b.name) + "_t = " + storage + ";\n" + variables;
  if (IsWords(b)) return s;
  const bool emits = body.find("fn " + Text(b.name) + "_at(") != Text::npos;
  return s + Accessors(b, output, emits);
}

// --- Features
// -------------------------------------------------------------------------------------------------------

// True when `word` stands in the text as a whole identifier.
bool UsesWord(const Text& text, const Text& word) {
  const auto part_of_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = text.find(word); at != Text::npos; at = text.find(word, at + 1))
    if ((at == 0 || !part_of_name(text[at - 1])) && !part_of_name(text[at + word.size()])) return true;
  return false;
}

// `enable` and `requires` lines for what the text uses.
Text Features(const Text& text, const RenderTarget& target) {
  const auto uses = [&](const char* word) { return text.find(word) != Text::npos; };
  Text s;
  if (UsesWord(text, "f16")) s += "enable f16;\n";
  if (uses("subgroupAdd") || uses("subgroupMax") || uses("subgroupMin") || uses("subgroupShuffle") ||
      uses("subgroupBroadcast") || uses("subgroupElect") || uses("subgroupExclusive") ||
      uses("subgroupInclusive") || uses("subgroup_invocation_id") || uses("subgroup_size") ||
      uses("subgroupAny") || uses("subgroupAll") || uses("subgroupOr") || uses("subgroupMul") ||
      uses("subgroup_id"))
    s += "enable subgroups;\n";
  if (uses("subgroup_matrix")) s += "enable chromium_experimental_subgroup_matrix;\n";
  if (!target.requires_lines) return s;
  if (uses("var<immediate>")) s += "requires immediate_address_space;\n";
  if (uses("subgroup_id")) s += "requires subgroup_id;\n";
  if (uses("dot4I8Packed") || uses("dot4U8Packed") || uses("pack4x"))
    s += "requires packed_4x8_integer_dot_product;\n";
  return s;
}

constexpr const char* kGroupIndex =
    "fn group_index(group: vec3<u32>) -> u32 { return group.x + group.y * 32768u; }\n";
constexpr const char* kBf16Bits =
    "fn bf16_bits(v: f32) -> u32 {\n"
    "  let b = bitcast<u32>(v);\n"
    "  if ((b & 0x7fffffffu) > 0x7f800000u) { return (b >> 16u) | 0x40u; }\n"
    "  return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u;\n"
    "}\n";

}  // namespace

PipelineKey KeyOf(const Dispatch& d, const Segments& segments) {
  PipelineKey key;
  const auto address = [](const char* p) { return reinterpret_cast<uint64_t>(p); };
  key.push_back(address(d.shader));
  for (const Const& c : d.consts) {
    key.push_back(address(c.name));
    uint64_t value = 0;
    if (auto* u = std::get_if<uint32_t>(&c.value))
      value = *u;
    else if (auto* i = std::get_if<int32_t>(&c.value))
      std::memcpy(&value, i, sizeof *i);
    else if (auto* f = std::get_if<float>(&c.value))
      std::memcpy(&value, f, sizeof *f);
    else if (auto* b = std::get_if<bool>(&c.value))
      value = *b;
    else if (auto* p = std::get_if<const char*>(&c.value))
      value = address(*p);
    else
      value = address(std::get<Code>(c.value).text);
    key.push_back(value);
    key.push_back(c.value.index());
  }
  size_t index = 0;
  const auto binding = [&](const Bind& b, uint64_t output) {
    key.push_back(address(b.name));
    key.push_back(static_cast<uint64_t>(b.tensor->type) | b.width << 8 | static_cast<uint64_t>(b.view) << 16 |
                  output << 24 | static_cast<uint64_t>(SegmentsOf(segments, index++)) << 32);
  };
  for (const Bind& b : d.in) binding(b, 0);
  for (const Bind& b : d.out) binding(b, 1);
  for (const Param& p : d.params) {
    key.push_back(address(p.name));
    const auto* list = std::get_if<Ints>(&p.value);
    key.push_back(list ? 16 + Vectors(*list) : p.value.index());
  }
  return key;
}

size_t HashOf(const PipelineKey& key) { return HashWords({key.data(), key.size()}); }

size_t ParamBytes(const Dispatch& d) {
  size_t bytes = 0;
  bool lists = false;
  for (const Param& p : d.params) {
    const auto* list = std::get_if<Ints>(&p.value);
    lists |= list != nullptr;
    bytes += list ? 16 * Vectors(*list) : 4;
  }
  return lists ? CeilDiv<size_t>(bytes, 16) * 16 : bytes;
}

void WriteParams(const Dispatch& d, uint8_t* out) {
  std::memset(out, 0, ParamBytes(d));
  size_t at = 0;
  for (const Param& p : d.params)
    if (auto* list = std::get_if<Ints>(&p.value)) {
      std::memcpy(out + at, list->data(), 4 * list->size());
      at += 16 * Vectors(*list);
    }
  for (const Param& p : d.params) {
    if (auto* u = std::get_if<uint32_t>(&p.value))
      std::memcpy(out + at, u, 4);
    else if (auto* i = std::get_if<int32_t>(&p.value))
      std::memcpy(out + at, i, 4);
    else if (auto* f = std::get_if<float>(&p.value))
      std::memcpy(out + at, f, 4);
    else
      continue;
    at += 4;
  }
}

std::string Render(const Dispatch& d, const RenderTarget& target, const Segments& segments) {
  const Text body = Expand(d);
  std::set<Text> segmented;
  Text code;
  for (const Const& c : d.consts) code += std::visit(DeclareConst{c.name}, c.value);
  Text s;
  size_t index = 0, variable = 0;
  const auto declare = [&](const Bind& b, bool output) {
    const uint32_t count = SegmentsOf(segments, index++);
    if (count > 1) segmented.insert(b.name);
    s += DeclareBinding(b, output, DeclareVariables(b, output, variable, count, target.segment_bytes),
                        code + body);
    variable += count;
  };
  for (const Bind& b : d.in) declare(b, false);
  for (const Bind& b : d.out) declare(b, true);
  s += DeclareParams(d, target.immediates && ParamBytes(d) <= kMaxImmediateBytes, variable);
  s += kGroupIndex;
  s += code + body;
  if (s.find("bf16_bits(") != Text::npos) s += kBf16Bits;
  return Features(s, target) + UseSegments(s, segmented);
}

}  // namespace daybreak
