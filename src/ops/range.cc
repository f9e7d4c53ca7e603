// Range: its size depends on values, so all inputs are read on the CPU.
#include <algorithm>
#include <cmath>

#include "core/op.h"

namespace daybreak {
namespace {

void Issue(Plan& p, const Tensor* y, const std::initializer_list<Param>& values) {
  const Bind out{"y", y};
  Dispatch d{.shader = "range",
             .consts = {{"WIDE", IsInt64(y->type)}},
             .out = {out},
             .params = {{"size", U32(y->count())}},
             .grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y->count(), PerThread(out)), 64)}};
  for (const Param& value : values) d.params.push_back(value);
  p.Run(d);
}

int64_t IntegerOf(const Tensor& t) {
  Check(t.count() == 1, "Range: an input has ", t.count(), " elements.");
  return t.type == DType::kI16 ? t.Host<int16_t>()[0] : HostInts(t)[0];
}

void Floats(Plan& p) {
  double v[3];
  for (size_t i = 0; i < 3; ++i) {
    Check(p.In(i)->count() == 1, "Range: an input has ", p.In(i)->count(), " elements.");
    v[i] = p.In(i)->Host<float>()[0];
  }
  Check(v[2] != 0, "Range: delta is 0.");
  const double count = std::max(0.0, std::ceil((v[1] - v[0]) / v[2]));
  Check(count <= 4e9, "Range: from ", v[0], " to ", v[1], " by ", v[2], " has ", count, " elements.");
  const Tensor* y = p.Out(0, {static_cast<int64_t>(count)});
  Issue(p, y, {{"start", static_cast<float>(v[0])}, {"delta", static_cast<float>(v[2])}});
}

void Range(Plan& p) {
  if (p.In(0)->type == DType::kF32) return Floats(p);
  const int64_t start = IntegerOf(*p.In(0)), limit = IntegerOf(*p.In(1)), delta = IntegerOf(*p.In(2));
  Check(delta != 0, "Range: delta is 0.");
  // In unsigned arithmetic, where the distance of any two values fits.
  const bool up = delta > 0;
  const bool empty = up ? limit <= start : limit >= start;
  const auto a = static_cast<uint64_t>(start), b = static_cast<uint64_t>(limit),
             d = static_cast<uint64_t>(delta);
  const uint64_t count = empty ? 0 : up ? (b - a - 1) / d + 1 : (a - b - 1) / (0 - d) + 1;
  Check(count <= 0xFFFFFFFFu, "Range: from ", start, " to ", limit, " by ", delta, " has ", count,
        " elements.");
  const Tensor* y = p.Out(0, {static_cast<int64_t>(count)});
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  if (IsInt64(y->type))
    return Issue(p, y,
                 {{"start", low(a)}, {"delta", low(d)}, {"start_high", high(a)}, {"delta_high", high(d)}});
  Issue(p, y, {{"start", static_cast<int32_t>(start)}, {"delta", static_cast<int32_t>(delta)}});
}

const Register ops{
    {.name = "Range", .since = 11, .types = "T: f32 i16 i32 i64", .plan = Range, .host = "0 1 2"},
};

}  // namespace
}  // namespace daybreak
