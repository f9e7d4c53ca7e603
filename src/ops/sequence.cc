// ReverseSequence and TensorScatter: moves along a time axis, by a number for each batch entry.
#include "ops/move.h"

namespace daybreak {
namespace {

// Reverses the first sequence_lens[b] steps of each batch entry.
void ReverseSequence(Plan& p) {
  const Tensor *x = p.In(0), *lengths = p.In(1);
  const int64_t time = p.Attr("time_axis", 0), batch = p.Attr("batch_axis", 1);
  Check(x->shape.size() >= 2 && time != batch && (time == 0 || time == 1) && (batch == 0 || batch == 1),
        "ReverseSequence: time_axis ", time, " and batch_axis ", batch, " must be 0 and 1 in either order.");
  const Tensor* y = p.Out(0, x->shape);
  const int64_t inner = Count(x->shape, 2, x->shape.size());
  const Unit unit = UnitOf(x->type, {inner});
  Dispatch d = MoveOf("reverse_sequence", x, y, unit);
  d.consts.push_back({"TIME_FIRST", time == 0});
  d.in.push_back({"lengths", lengths, 1, View::kWords});
  d.params.push_back({"steps", U32(x->shape[static_cast<size_t>(time)])});
  d.params.push_back({"columns", U32(x->shape[1])});
  d.params.push_back({"inner", U32(inner / unit.elements)});
  p.Run(d);
}

// past with `update` written at write_indices[b] on `axis`; circular: wrapped around.
void TensorScatter(Plan& p) {
  const Tensor *past = p.In(0), *update = p.In(1);
  const Tensor* starts = p.InCount() > 2 ? p.In(2) : nullptr;
  const std::string mode = p.Attr("mode", "linear");
  Check(mode == "linear" || mode == "circular", "TensorScatter: mode is '", mode,
        "', not linear or circular.");
  const size_t axis = WrapAxis(p.Attr("axis", -2), past->shape.size());
  Check(axis > 0, "TensorScatter: axis 0 is the batch.");
  const auto [outer, dim, inner] = SplitAt(past->shape, static_cast<int64_t>(axis));
  Shape expected = past->shape;
  expected[axis] = update->shape.size() == expected.size() ? update->shape[axis] : 0;
  Check(update->shape == expected && expected[axis] <= dim, "TensorScatter: update is ",
        ToString(update->shape), ", the cache ", ToString(past->shape), ".");
  const Tensor* y = p.Out(0, past->shape);
  const Unit unit = UnitOf(past->type, {inner});
  Dispatch d = MoveOf("tensor_scatter", past, y, unit);
  d.consts.push_back({"STARTS", starts != nullptr});
  d.in.push_back({"updates", update, unit.width, unit.view});
  if (starts != nullptr) d.in.push_back({"starts", starts, 1, View::kWords});
  d.params.push_back({"lines", U32(past->shape[0] == 0 ? 0 : outer / past->shape[0])});  // of a batch entry
  d.params.push_back({"dim", U32(dim)});
  d.params.push_back({"steps", U32(expected[axis])});
  d.params.push_back({"inner", U32(inner / unit.elements)});
  p.Run(d);
}

const Register ops{
    {.name = "ReverseSequence", .since = 10, .plan = ReverseSequence},
    {.name = "TensorScatter", .since = 24, .plan = TensorScatter},
};

}  // namespace
}  // namespace daybreak
