// OneHot: values[1] at the position that an index names on a new axis, values[0] elsewhere.
#include "ops/move.h"

namespace daybreak {
namespace {

// The scalar `depth`, of any number type.
int64_t DepthOf(const Tensor& depth) {
  switch (depth.type) {
    case DType::kF32:
      return static_cast<int64_t>(depth.Host<float>()[0]);
    case DType::kF64:
      return static_cast<int64_t>(depth.Host<double>()[0]);
    case DType::kU64:
      return static_cast<int64_t>(depth.Host<uint64_t>()[0]);
    case DType::kU32:
      return depth.Host<uint32_t>()[0];
    case DType::kU16:
      return depth.Host<uint16_t>()[0];
    case DType::kI16:
      return depth.Host<int16_t>()[0];
    case DType::kU8:
      return depth.Host<uint8_t>()[0];
    case DType::kI8:
      return depth.Host<int8_t>()[0];
    default:
      return HostInts(depth)[0];
  }
}

void OneHot(Plan& p) {
  const Tensor *indices = p.In(0), *values = p.In(2);
  const int64_t depth = DepthOf(*p.In(1));
  Check(depth >= 0, "OneHot: depth is ", depth, ".");
  const size_t axis = WrapAxis(p.Attr("axis", -1), indices->shape.size() + 1);
  Shape shape = indices->shape;
  shape.insert(axis, depth);
  const Tensor* y = p.Out(0, shape);

  const Bind out{"y", y, 1, View::kRaw};
  p.Run({.shader = "onehot",
         .consts = {{"WIDE", IsInt64(indices->type)}},
         .in = {{"indices", indices}, {"values", values, 1, View::kRaw}},
         .out = {out},
         .params = {{"size", U32(y->count())},
                    {"depth", U32(depth)},
                    {"inner", U32(Count(shape, axis + 1, shape.size()))}},
         .grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y->count(), PerThread(out)), kMoveGroup)}});
}

std::string Declines(const NodeView& n) {
  if (n.Has(1) && (n.in[1].type == DType::kF16 || n.in[1].type == DType::kBF16))
    return Join("depth has type ", NameOf(n.in[1].type));
  return "";
}

const Register ops{
    {.name = "OneHot",
     .since = 9,
     .types = "T1: i8 u8 i16 u16 i32 u32 i64 u64 f32 f16 bf16",
     .plan = OneHot,
     .declines = Declines,
     .host = "1"},
};

}  // namespace
}  // namespace daybreak
