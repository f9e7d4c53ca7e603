// Gather, GatherND and GatherElements. An index outside [-dim, dim) gives zeros.
#include "ops/move.h"

namespace daybreak {
namespace {

// y[o, m, r] = data[o, indices[m], r].
void Gather(Plan& p) {
  const Tensor* data = p.In(0);
  const Tensor* indices = p.In(1);
  const size_t axis = WrapAxis(p.Attr("axis", 0), data->shape.size());
  const auto [outer, dim, inner] = SplitAt(data->shape, static_cast<int64_t>(axis));
  Shape shape(data->shape.begin(), data->shape.begin() + axis);
  for (const int64_t d : indices->shape) shape.push_back(d);
  for (size_t i = axis + 1; i < data->shape.size(); ++i) shape.push_back(data->shape[i]);
  const Tensor* y = p.Out(0, shape);

  const Unit unit = UnitOf(data->type, {inner});
  Dispatch d = MoveOf("gather", data, y, unit);
  d.consts.push_back({"INDEX_WORDS", IndexWords(*indices)});
  d.in.push_back({"indices", indices, 1, View::kWords});
  d.params.push_back({"count", U32(indices->count())});
  d.params.push_back({"dim", U32(dim)});
  d.params.push_back({"inner", U32(inner / unit.elements)});
  p.Run(d);
}

// y[s, r] = data[batch of s, indices[s, 0], ..., indices[s, K - 1], r].
void GatherND(Plan& p) {
  const Tensor* data = p.In(0);
  const Tensor* indices = p.In(1);
  const auto batch_dims = static_cast<size_t>(p.Attr("batch_dims", 0));
  Check(!indices->shape.empty() && batch_dims < indices->shape.size() && batch_dims < data->shape.size(),
        "GatherND: batch_dims is ", batch_dims, " for indices ", ToString(indices->shape), ".");
  for (size_t i = 0; i < batch_dims; ++i)
    Check(indices->shape[i] == data->shape[i], "GatherND: the batch of indices ", ToString(indices->shape),
          " is not that of data ", ToString(data->shape), ".");
  const auto depth = static_cast<size_t>(indices->shape.back());
  const size_t first = batch_dims + depth;
  Check(first <= data->shape.size(), "GatherND: ", depth, " indices into ", ToString(data->shape), ".");
  Shape shape(indices->shape.begin(), indices->shape.end() - 1);
  for (size_t i = first; i < data->shape.size(); ++i) shape.push_back(data->shape[i]);
  const Tensor* y = p.Out(0, shape);

  const int64_t inner = Count(data->shape, first, data->shape.size());
  const Unit unit = UnitOf(data->type, {inner});
  const Shape strides = StridesOf(data->shape);
  Ints dims, steps;
  for (size_t i = batch_dims; i < first; ++i) {
    dims.push_back(U32(data->shape[i]));
    steps.push_back(U32(strides[i] / unit.elements));
  }
  const int64_t slices = Count(indices->shape, batch_dims, indices->shape.size() - 1);  // of one batch
  Dispatch d = MoveOf("gather_nd", data, y, unit);
  d.consts.push_back({"INDEX_WORDS", IndexWords(*indices)});
  d.consts.push_back({"DEPTH", U32(depth)});
  d.in.push_back({"indices", indices, 1, View::kWords});
  d.params.push_back({"dims", dims});
  d.params.push_back({"strides", steps});
  d.params.push_back({"inner", U32(inner / unit.elements)});
  d.params.push_back({"slices", U32(slices)});
  d.params.push_back(
      {"batch_stride", U32(Count(data->shape, batch_dims, data->shape.size()) / unit.elements)});
  p.Run(d);
}

// y[c] = data[c with c[axis] replaced by indices[c]].
void GatherElements(Plan& p) {
  const Tensor* data = p.In(0);
  const Tensor* indices = p.In(1);
  Check(indices->shape.size() == data->shape.size(), "GatherElements: data ", ToString(data->shape),
        " and indices ", ToString(indices->shape), " differ in rank.");
  const size_t axis = WrapAxis(p.Attr("axis", 0), data->shape.size());
  const Tensor* y = p.Out(0, indices->shape);

  const Shape strides = StridesOf(data->shape);
  Axes walk;
  for (size_t i = 0; i < strides.size(); ++i) {
    Check(i == axis || indices->shape[i] <= data->shape[i], "GatherElements: indices ",
          ToString(indices->shape), " go beyond data ", ToString(data->shape), ".");
    walk.push_back({indices->shape[i], i == axis ? 0 : strides[i]});
  }
  walk = Merged(walk);
  Ints dims, steps;
  for (const Axis& a : walk) {
    dims.push_back(U32(a.size));
    steps.push_back(U32(a.stride));
  }
  Dispatch d = MoveOf("gather_elements", data, y, UnitOf(data->type, {1}));
  d.consts.push_back({"INDEX_WORDS", IndexWords(*indices)});
  d.consts.push_back({"RANK", static_cast<uint32_t>(walk.size())});
  d.in.push_back({"indices", indices, 1, View::kWords});
  d.params.push_back({"dims", dims});
  d.params.push_back({"strides", steps});
  d.params.push_back({"dim", U32(data->shape[axis])});
  d.params.push_back({"stride", U32(strides[axis])});
  p.Run(d);
}

const Register ops{
    {.name = "Gather", .plan = Gather},
    {.name = "GatherND", .since = 11, .plan = GatherND},
    {.domain = "com.microsoft", .name = "GatherND", .plan = GatherND},
    {.name = "GatherElements", .since = 11, .plan = GatherElements},
};

}  // namespace
}  // namespace daybreak
