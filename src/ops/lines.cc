#include "ops/lines.h"

#include <algorithm>
#include <bit>

namespace daybreak {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int64_t kLongLine = 16384;  // one line alone then gets a larger workgroup
constexpr int64_t kManyGroups = 256;  // enough workgroups to fill a GPU without sharing lines

uint32_t PowerBelow(int64_t n, uint32_t limit) {
  return static_cast<uint32_t>(std::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(n, 1, limit))));
}

}  // namespace

LineTile TileOf(const DeviceInfo& device, int64_t count, int64_t dim, bool contiguous) {
  const uint32_t limit = std::min(device.max_invocations, device.max_workgroup_x);
  if (contiguous) {
    const uint32_t threads = dim >= kLongLine && count < kManyGroups ? PowerBelow(1024, limit) : kThreads;
    const int64_t each = count < kManyGroups ? 2 : 8;  // elements of a thread, at least, where lines are long
    const uint32_t lanes = PowerBelow(CeilDiv(dim, each), threads);
    return {kThreads / std::min(kThreads, lanes), lanes, true};
  }
  const bool many = count >= kManyGroups * kThreads;
  const uint32_t lanes = many ? 1 : PowerBelow(CeilDiv<int64_t>(dim, 2), kThreads / PowerBelow(count, 32));
  return {kThreads / lanes, lanes, false};
}

DType WideType(Kind kind) {
  switch (kind) {
    case Kind::kInt:
      return DType::kI32;
    case Kind::kUint:
    case Kind::kBool:
      return DType::kU32;
    case Kind::kInt64:
      return DType::kI64;
    case Kind::kUint64:
      return DType::kU64;
    default:
      return DType::kF32;
  }
}

const Tensor* WideOutput(Plan& p, const Tensor* y) {
  if (BitsOf(y->type) >= 32 || y->type == DType::kF16) return y;
  return p.Scratch(WideType(KindOf(y->type)), y->shape);
}

void Narrow(Plan& p, const Tensor* wide, const Tensor* y) {
  if (wide == y) return;
  MapElements(
      p, y->type == DType::kBool ? "fn f(v: V) -> R { return v != V(0u); }" : "fn f(v: V) -> R { return v; }",
      Needs::kPlain, wide, y);
}

}  // namespace daybreak
