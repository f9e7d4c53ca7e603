// com.microsoft.GatherBlockQuantized: rows of a block-quantised table, dequantised on the way. An index
// outside
// [-dim, dim) gives zeros.
#include <algorithm>

#include "ops/matmul_nbits.h"
#include "ops/move.h"

namespace daybreak {
namespace {

// u8 data holds 8 / bits values a byte, packed along the last axis, low bits first; i4 and u4 are what they
// are.
int64_t PerElement(const Tensor* data, int64_t bits) { return data->type == DType::kU8 ? 8 / bits : 1; }

// A table that a head of the model may read as the weights of a product: a row of the table is a column
// there.
PackedInputs Packed(const Attrs& attrs, std::span<const ValueInfo> in) {
  const int64_t bits = attrs.Int("bits", 4), block = attrs.Int("block_size", 128);
  const Shape& shape = in[0].shape;
  const auto rank = static_cast<int64_t>(shape.size());
  if (in[0].type != DType::kU8 || rank < 2 || *std::min_element(shape.begin(), shape.end()) <= 0) return {};
  if (WrapAxis(attrs.Int("gather_axis", 0), shape.size()) != 0 ||
      WrapAxis(attrs.Int("quantize_axis", 1), shape.size()) != shape.size() - 1)
    return {};
  if (!DeclineNbits(bits, block).empty() || shape.back() * 8 / bits % block != 0) return {};
  PackedInputs packed;
  const NbitsFormat format{U32(Count(shape, 1, shape.size()) * 8 / bits), U32(bits), U32(block)};
  AddPackedWeight(packed, in, 0, 2, in.size(), format, shape[0]);
  if (in.size() > 3 && in[3].present && in[3].has_shape)
    packed.push_back({3, {U32(shape[0]), U32(Count(in[3].shape, 1, in[3].shape.size())), 1}});
  for (PackedInput& input : packed) input.follows = true;
  return packed;
}

void GatherBlockQuantized(Plan& p) {
  const Tensor *data = p.In(0), *indices = p.In(1), *scales = p.In(2);
  const Tensor* zero_points = p.InCount() > 3 ? p.In(3) : nullptr;
  const int64_t bits = p.Attr("bits", 4);
  const int64_t block = p.Attr("block_size", 128);
  Shape values = data->shape;  // in values, not bytes
  values[values.size() - 1] *= PerElement(data, bits);
  const size_t axis = WrapAxis(p.Attr("gather_axis", 0), values.size());
  const size_t blocked = WrapAxis(p.Attr("quantize_axis", 1), values.size());
  Shape expected = values;
  expected[blocked] = CeilDiv(values[blocked], block);
  Check(scales->shape == expected, "GatherBlockQuantized: scales are ", ToString(scales->shape), ", not ",
        ToString(expected), ".");

  const auto [outer, dim, inner] = SplitAt(values, static_cast<int64_t>(axis));
  Shape shape(values.begin(), values.begin() + axis);
  for (const int64_t d : indices->shape) shape.push_back(d);
  for (size_t i = axis + 1; i < values.size(); ++i) shape.push_back(values[i]);
  const Tensor* y = p.Out(0, shape);
  if (y->count() == 0) return;

  const NbitsFormat format{U32(inner), U32(bits), U32(block)};
  const bool is_u8 = data->type == DType::kU8;
  const AxisSplit split = SplitAt(values, static_cast<int64_t>(blocked));
  const uint32_t width = inner % 4 == 0 && y->type != DType::kBF16 ? 4 : 1;
  const Bind out{"y", y, width};
  Dispatch d{
      .shader = "gather_block_quantized",
      .consts = {{"BITS", static_cast<uint32_t>(bits)},
                 {"SIGNED", data->type == DType::kI4},
                 {"ZERO", is_u8 ? int32_t{1} << (bits - 1) : 0},
                 {"ZERO_POINTS", zero_points != nullptr},
                 {"INDEX_WORDS", IndexWords(*indices)},
                 {"PACKED_DATA", p.IsPacked(0)},
                 {"PACKED_SCALES", p.IsPacked(2)},
                 {"PACKED_ZEROS", p.IsPacked(3)},
                 {"LOAD_WORDS", p.IsPacked(0) ? format.load_words() : 1}},
      .in = {{"data", data, 1, View::kWords}, {"indices", indices, 1, View::kWords}, {"scales", scales}},
      .out = {out},
      .params = {{"size", U32(y->count())},
                 {"count", U32(indices->count())},
                 {"dim", U32(dim)},
                 {"inner", U32(inner)},
                 {"blocked_dim", U32(split.dim)},
                 {"blocked_stride", U32(split.stride)},
                 {"block", U32(block)},
                 {"blocks", U32(expected[blocked])},
                 {"scales", U32(scales->count() / dim)}},
      .grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y->count(), PerThread(out)), kMoveGroup)}};
  if (zero_points != nullptr) {
    d.in.push_back({"zero_points", zero_points, 1, View::kWords});
    d.params.push_back({"scale_row", U32(scales->shape.back())});
    d.params.push_back({"zero_row", U32(zero_points->shape.back() * PerElement(zero_points, bits))});
    d.params.push_back({"zero_bytes", U32(zero_points->count() / dim)});
  }
  p.Run(d);
}

std::string Declines(const NodeView& n) {
  const int64_t bits = n.Attr("bits", 4), block = n.Attr("block_size", 128);
  if (bits != 2 && bits != 4 && bits != 8) return Join("bits is ", bits, "; kernels exist for 2, 4 and 8");
  if (n.Has(0) && n.in[0].type != DType::kU8 && bits != 4) return Join("bits is ", bits, " for 4-bit data");
  if (block < 16) return Join("block_size is ", block, ", which is below 16");
  return "";
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "GatherBlockQuantized",
     .types = "T1: u8 i4 u4; T2: f32 f16 bf16",
     .plan = GatherBlockQuantized,
     .declines = Declines,
     .packed = Packed},
};

}  // namespace
}  // namespace daybreak
