// Operators that only rename memory: Reshape, Squeeze, Unsqueeze, Flatten, Identity.
#include <algorithm>

#include "core/op.h"

namespace daybreak {
namespace {

// The output is the input's memory where ORT allows it, else a copy.
void Rename(Plan& p, const Shape& shape) {
  const Tensor* x = p.In(0);
  Check(Count(shape) == x->count(), "Shape ", ToString(x->shape), " cannot become ", ToString(shape), ".");
  const Tensor* y = p.Out(0, shape);
  if (y == nullptr || x->bytes() == 0 || x->device.address == y->device.address) return;
  p.Copy(x, y, x->bytes());
}

// Input i on the CPU, or the attribute that older versions have in its place. Empty when neither is given.
FixedVec<int64_t, 64> ListOf(Plan& p, size_t i, const char* attribute) {
  if (i < p.InCount() && p.In(i) != nullptr) return HostInts(*p.In(i));
  const std::vector<int64_t> list = p.Attributes().Ints(attribute);
  return {list.begin(), list.end()};
}

void Identity(Plan& p) { Rename(p, p.In(0)->shape); }

// One dimension may be -1 (what is left); 0 takes the input's dimension unless `allowzero`.
void Reshape(Plan& p) {
  const Shape& from = p.In(0)->shape;
  const bool allow_zero = p.Attr("allowzero", 0) != 0;
  Shape to;
  int64_t known = 1;
  size_t unknown = kMaxRank;
  for (const int64_t d : ListOf(p, 1, "shape")) {
    const size_t i = to.size();
    Check(d >= -1, "Reshape: dimension ", i, " is ", d, ".");
    Check(d != 0 || allow_zero || i < from.size(), "Reshape: dimension ", i, " is 0, but the input ",
          ToString(from), " has no such dimension.");
    to.push_back(d == 0 && !allow_zero ? from[i] : d);
    if (d == -1) {
      Check(unknown == kMaxRank, "Reshape: more than one dimension is -1.");
      unknown = i;
    } else {
      known *= to.back();
    }
  }
  if (unknown < kMaxRank) {
    const int64_t total = Count(from);
    Check(known != 0 && total % known == 0, "Reshape: ", ToString(from), " does not fit into ", ToString(to),
          ".");
    to[unknown] = total / known;
  }
  Rename(p, to);
}

// Without axes, every dimension of 1 goes.
void Squeeze(Plan& p) {
  const Shape& from = p.In(0)->shape;
  const auto axes = ListOf(p, 1, "axes");
  FixedVec<bool, kMaxRank> drop;
  for (const int64_t d : from) drop.push_back(axes.empty() && d == 1);
  for (const int64_t axis : axes) {
    const size_t at = WrapAxis(axis, from.size());
    Check(from[at] == 1, "Squeeze: dimension ", at, " of ", ToString(from), " is not 1.");
    drop[at] = true;
  }
  Shape to;
  for (size_t i = 0; i < from.size(); ++i)
    if (!drop[i]) to.push_back(from[i]);
  Rename(p, to);
}

// Axes count in the output.
void Unsqueeze(Plan& p) {
  const Shape& from = p.In(0)->shape;
  const auto axes = ListOf(p, 1, "axes");
  FixedVec<bool, kMaxRank> fresh;
  fresh.resize(from.size() + axes.size(), false);
  for (const int64_t axis : axes) {
    bool& is_new = fresh[WrapAxis(axis, fresh.size())];
    Check(!is_new, "Unsqueeze: axis ", axis, " is given twice.");
    is_new = true;
  }
  Shape to;
  size_t next = 0;
  for (const bool is_new : fresh) to.push_back(is_new ? 1 : from[next++]);
  Rename(p, to);
}

void Flatten(Plan& p) {
  const Shape& from = p.In(0)->shape;
  const auto rank = static_cast<int64_t>(from.size());
  const int64_t axis = p.Attr("axis", 1);
  Check(axis >= -rank && axis <= rank, "Flatten: axis ", axis, " is outside [", -rank, ", ", rank, "].");
  const auto at = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  Rename(p, {Count(from, 0, at), Count(from, at, from.size())});
}

const Register ops{
    {.name = "Identity", .plan = Identity, .alias = "0>0"},
    {.name = "Reshape", .plan = Reshape, .host = "1", .alias = "0>0"},
    {.name = "Squeeze", .until = 12, .plan = Squeeze, .alias = "0>0"},
    {.name = "Squeeze", .since = 13, .plan = Squeeze, .host = "1", .alias = "0>0"},
    {.name = "Unsqueeze", .until = 12, .plan = Unsqueeze, .alias = "0>0"},
    {.name = "Unsqueeze", .since = 13, .plan = Unsqueeze, .host = "1", .alias = "0>0"},
    {.name = "Flatten", .plan = Flatten, .alias = "0>0"},
};

}  // namespace
}  // namespace daybreak
