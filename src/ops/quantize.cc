// QuantizeLinear, DequantizeLinear (per tensor, per axis, blocked) and DynamicQuantizeLinear.
#include <algorithm>

#include "core/op.h"

namespace daybreak {
namespace {

constexpr int64_t kGroup = 256;

// Where the scale of an element lies: along one axis, in blocks of `block` elements. One scale for all has
// dim 1.
struct Scales {
  int64_t dim = 1, stride = 1, block = 1, blocks = 1;
  bool per_axis =
      false;  // one scale for each coordinate (or block) of the axis, else also for the other coordinates
};

Scales ScalesOf(Plan& p, const Shape& shape, const Tensor* scale) {
  if (scale->count() == 1 && p.Attr("block_size", 0) == 0) return {};
  const int64_t axis = p.Attr("axis", 1);
  const auto [outer, dim, stride] = SplitAt(shape, axis);
  const int64_t block = p.Attr("block_size", 0);
  if (block == 0) {
    Check(scale->count() == dim, "Scale ", ToString(scale->shape), " for an axis of ", dim, " elements.");
    return {dim, stride, 1, dim, true};
  }
  Shape expected = shape;
  expected[WrapAxis(axis, shape.size())] = CeilDiv(dim, block);
  Check(scale->shape == expected, "Scale is ", ToString(scale->shape), ", not ", ToString(expected), ".");
  return {dim, stride, block, CeilDiv(dim, block), false};
}

// Four elements of y a thread where its type has vectors, else a word.
Bind Output(const Tensor* y) {
  const bool vectors = y->type == DType::kF32 || y->type == DType::kF16;
  return {"y", y, vectors && y->count() % 4 == 0 ? 4u : 1u};
}

void Convert(Plan& p, const char* shader, const Tensor* x, const Tensor* scale, const Tensor* zero,
             const Tensor* y, const Scales& s) {
  const Bind out = Output(y);
  Dispatch d{.shader = shader,
             .consts = {{"ZERO", zero != nullptr}, {"PER_AXIS", s.per_axis}, {"ONE", scale->count() == 1}},
             .in = {{"x", x}, {"scale", scale}},
             .out = {out},
             .params = {{"size", U32(y->count())},
                        {"dim", U32(s.dim)},
                        {"stride", U32(s.stride)},
                        {"block", U32(s.block)},
                        {"blocks", U32(s.blocks)}},
             .grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y->count(), PerThread(out)), kGroup)}};
  if (zero != nullptr) d.in.push_back({"zero", zero});
  if (std::string_view(shader) == "quantize") {
    const bool is_signed = y->type == DType::kI8 || y->type == DType::kI16 || y->type == DType::kI4;
    const auto bits = static_cast<int>(BitsOf(y->type));
    const float low = is_signed ? -static_cast<float>(1 << (bits - 1)) : 0.0f;
    d.consts.push_back({"LOW", low});
    d.consts.push_back({"HIGH", low + static_cast<float>((1 << bits) - 1)});
  }
  p.Run(d);
}

const Tensor* ZeroPoint(Plan& p) { return p.InCount() > 2 ? p.In(2) : nullptr; }

void Quantize(Plan& p) {
  const Tensor *x = p.In(0), *scale = p.In(1);
  Convert(p, "quantize", x, scale, ZeroPoint(p), p.Out(0, x->shape), ScalesOf(p, x->shape, scale));
}

void Dequantize(Plan& p) {
  const Tensor *x = p.In(0), *scale = p.In(1);
  Convert(p, "dequantize", x, scale, ZeroPoint(p), p.Out(0, x->shape), ScalesOf(p, x->shape, scale));
}

// Scale and zero point from the range of x, zero included.
void DynamicQuantize(Plan& p) {
  const Tensor* x = p.In(0);
  const Tensor* y = p.Out(0, x->shape);
  const Tensor* scale = p.Out(1, {});
  const Tensor* zero = p.Out(2, {});
  const uint32_t width = x->count() % 4 == 0 ? 4 : 1;
  const int64_t reads = x->count() / width;
  const int64_t groups = std::clamp<int64_t>(CeilDiv(reads, 8 * kGroup), 1, 2048);
  const Tensor* parts = p.Scratch(DType::kF32, {groups, 2});
  p.Run({.shader = "quantize_range",
         .consts = {{"WIDE", width == 4}},
         .in = {{"x", x, width}},
         .out = {{"parts", parts, 2}},
         .params = {{"size", U32(reads)}, {"groups", U32(groups)}},
         .grid = {groups}});
  p.Run({.shader = "quantize_range_end",
         .in = {{"parts", parts, 2}},
         .out = {{"scale", scale}, {"zero", zero}},
         .params = {{"groups", U32(groups)}, {"size", 1u}},
         .grid = {1}});
  Convert(p, "quantize", x, scale, zero, y, {});
}

std::string DeclinesQuantize(const NodeView& n) {
  const int64_t precision = n.Attr("precision", 0);
  return precision > 1 ? Join("precision is ", precision, "; quotients are computed in f32") : "";
}

// The schemas' type parameters change between versions: T1 is x throughout, y is T2 first and T3 from version
// 23 on.
const Register ops{
    {.name = "QuantizeLinear",
     .since = 10,
     .until = 22,
     .types = "T1: f32 f16 bf16 i32; T2: u8 i8 u16 i16 u4 i4",
     .plan = Quantize},
    {.name = "QuantizeLinear",
     .since = 23,
     .types = "T1: f32 f16 bf16 i32; T2: f32 f16 bf16; T3: u8 i8 u16 i16 u4 i4",
     .plan = Quantize,
     .declines = DeclinesQuantize},
    {.domain = "com.microsoft",
     .name = "QuantizeLinear",
     .types = "T1: f32 f16; T2: u8 i8 u16 i16 u4 i4",
     .plan = Quantize},
    {.name = "DequantizeLinear", .since = 10, .until = 18, .types = "T: u8 i8 i32", .plan = Dequantize},
    {.name = "DequantizeLinear",
     .since = 19,
     .types = "T1: u8 i8 u16 i16 i32 u4 i4; T2: f32 f16 bf16",
     .plan = Dequantize},
    {.domain = "com.microsoft",
     .name = "DequantizeLinear",
     .types = "T1: u8 i8 u16 i16 i32 u4 i4; T2: f32 f16",
     .plan = Dequantize},
    {.name = "DynamicQuantizeLinear", .since = 11, .plan = DynamicQuantize},
};

}  // namespace
}  // namespace daybreak
