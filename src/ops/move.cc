#include "ops/move.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace daybreak {

Unit UnitOf(DType type, std::initializer_list<int64_t> runs) {
  const auto bits = static_cast<int64_t>(BitsOf(type));
  for (const uint32_t words : {4u, 2u, 1u}) {
    const int64_t elements = 32 * words / bits;
    if (elements == 0) break;
    if (std::all_of(runs.begin(), runs.end(), [=](int64_t run) { return run % elements == 0; }))
      return {elements, View::kWords, words};
  }
  return {};
}

Dispatch MoveTo(const char* shader, const Tensor* y, const Unit& unit, bool partial) {
  constexpr std::array<const char*, 5> kUnitTypes{"", "u32", "vec2<u32>", "", "vec4<u32>"};
  const auto bits = static_cast<uint32_t>(unit.words() ? 32 : BitsOf(y->type));
  const bool quads = !partial && unit.width < 4 && y->bytes() % 16 == 0;
  const Bind out = quads ? Bind{"y", y, 4, View::kWords} : Bind{"y", y, unit.width, unit.view};
  const int64_t units = y->count() / unit.elements;
  int64_t threads = unit.words() ? units : CeilDiv<int64_t>(units, PerThread(out));
  if (quads) threads = static_cast<int64_t>(y->bytes() / 16);
  return {.shader = shader,
          .consts = {{"unit_t", kUnitTypes[unit.width]},
                     {"WORDS", unit.words()},
                     {"PAIRS", unit.width == 2},
                     {"BITS", bits},
                     {"QUADS", quads}},
          .out = {out},
          .params = {{"size", U32(units)}},
          .grid = {CeilDiv(threads, kMoveGroup)}};
}

Dispatch MoveOf(const char* shader, const Tensor* x, const Tensor* y, const Unit& unit) {
  Dispatch d = MoveTo(shader, y, unit);
  d.in.push_back({"x", x, unit.width, unit.view});
  return d;
}

Axes Merged(const Axes& axes) {
  Axes out;
  for (const Axis& axis : axes) {
    if (axis.size == 1) continue;
    if (!out.empty() && axis.wrap == axis.size && out.back().stride == axis.size * axis.stride) {
      Axis& outer = out.back();
      outer = {outer.size * axis.size, axis.stride, outer.wrap * axis.size};
    } else {
      out.push_back(axis);
    }
  }
  if (out.empty()) out.push_back({1, 1});
  return out;
}

namespace {

// The widest unit for a walk: the innermost axis must be contiguous, and everything else must stay aligned.
Unit UnitFor(DType type, const Axes& axes, int64_t base) {
  if (axes.back().stride != 1) return UnitOf(type, {1});
  int64_t others = 0;  // any odd part of a stride shows in the lowest set bits
  for (size_t k = 0; k + 1 < axes.size(); ++k) others |= axes[k].stride;
  return UnitOf(type, {axes.back().wrap, base, others});
}

}  // namespace

void Strided(Plan& p, const Tensor* x, const Tensor* y, const Axes& all, int64_t base) {
  if (y->count() == 0) return;
  Axes axes = Merged(all);
  const Unit unit = UnitFor(x->type, axes, base);
  axes.back().size /= unit.elements;
  axes.back().wrap /= unit.elements;

  // Negative strides enter as two's complement: the shader's sum wraps modulo 2^32 to the right offset.
  Ints dims, strides, wraps;
  bool wrap = false;
  for (size_t k = 0; k < axes.size(); ++k) {
    const bool inner = k + 1 == axes.size();
    dims.push_back(U32(axes[k].size));
    wraps.push_back(U32(axes[k].wrap));
    strides.push_back(static_cast<uint32_t>(inner ? axes[k].stride : axes[k].stride / unit.elements));
    wrap |= axes[k].wrap != axes[k].size;
  }
  Dispatch d = MoveOf("strided", x, y, unit);
  d.consts.push_back({"RANK", static_cast<uint32_t>(axes.size())});
  d.consts.push_back({"WRAP", wrap});
  d.params.push_back({"dims", dims});
  d.params.push_back({"strides", strides});
  if (wrap) d.params.push_back({"wraps", wraps});
  d.params.push_back({"base", U32(base / unit.elements)});
  p.Run(d);
}

uint64_t PatternOf(DType type, const void* element) {
  const size_t bits = BitsOf(type);
  uint64_t value = 0;
  std::memcpy(&value, element, CeilDiv<size_t>(bits, 8));
  if (bits < 64) value &= (uint64_t{1} << bits) - 1;
  for (size_t have = bits; have < 64; have *= 2) value |= value << have;
  return value;
}

void Fill(Plan& p, const Tensor* y, uint32_t low, uint32_t high) {
  const auto words = static_cast<int64_t>(CeilDiv<size_t>(y->bytes(), 4));
  const uint32_t width = y->bytes() % 16 == 0 ? 4 : 1;
  const int64_t units = words / width;
  p.Run({.shader = "fill",
         .consts = {{"WIDE", width == 4}},
         .out = {{"y", y, width, View::kWords}},
         .params = {{"size", U32(units)}, {"low", low}, {"high", high}},
         .grid = {CeilDiv(units, kMoveGroup)}});
}

}  // namespace daybreak
