// FlashAttention on subgroup matrices (attention_matrix.wgsl).
#include <algorithm>
#include <span>

#include "ops/attention.h"

namespace daybreak {
namespace {

constexpr int64_t kRows = 64;  // query rows of a workgroup
constexpr uint32_t kThreads = 128;

bool HasMatrices(const DeviceInfo& device) {
  return device.subgroup_size() == 32 && device.max_invocations >= 128 &&
         std::any_of(device.matrices.begin(), device.matrices.end(), [](const MatrixConfig& c) {
           return c.component == DType::kF16 && c.result == DType::kF32 && c.m == 16 && c.n == 16 &&
                  c.k == 16;
         });
}

// Eight elements a vector at every offset of q, and of k and v unless they are packed.
bool InEights(const Attention& a) {
  const HeadLayout* list[] = {&a.q_at, &a.k_at, &a.v_at};
  for (const HeadLayout* at : std::span(list, a.kv_bits == 0 ? 3 : 1))
    if ((at->batch | at->head | at->row | at->first) % 8 != 0) return false;
  return true;
}

uint64_t WorkgroupBytes(int64_t head, uint32_t keys) {
  const int64_t vectors = 2 * keys * (head / 8 + 1) + kRows * (keys / 4 + 1 + keys / 8 + 1);
  return static_cast<uint64_t>(vectors) * 16 + 16;
}

}  // namespace

bool AttendWithMatrices(Plan& p, const Attention& a) {
  const DeviceInfo& device = p.Device();
  const bool f16 = a.q->type == DType::kF16 && a.k->type == DType::kF16 && a.v->type == DType::kF16;
  if (!f16 || !HasMatrices(device) || WidthOf(a) != 4 || !InEights(a)) return false;
  if (a.head != a.v_head || a.head % 16 != 0 || a.head > 256) return false;
  const uint32_t keys = 32;  // 64 leave room for fewer workgroups on a core
  if (WorkgroupBytes(a.head, keys) > device.workgroup_bytes) return false;

  // Packed rows are read a word at a time, by vectors of four elements.
  const uint32_t kv_width = a.kv_bits > 0 ? 1 : 4, kv_vector = a.kv_bits > 0 ? 4 : 8;
  Dispatch d{.shader = "attention_matrix",
             .consts = {{"H8", U32(a.head / 8)},
                        {"D", U32(a.head / 4)},
                        {"VALUES", true},
                        {"BN", keys},
                        {"HEAD_BLOCKS", U32(a.head / 16)},
                        {"KEY_BLOCKS", keys / 16},
                        {"QUADS", keys / 8},
                        {"LOADS", CeilDiv(keys * U32(a.head / 8), kThreads)}},
             .in = {{"q", a.q, 4, View::kWords},
                    {"k_cache", a.k, kv_width, View::kWords},
                    {"v_cache", a.v, kv_width, View::kWords}},
             .out = {{"y", a.out, 4}},
             .params = {{"q_stride", InVectors(a.q_at, 8)},
                        {"k_stride", InVectors(a.k_at, kv_vector)},
                        {"v_stride", InVectors(a.v_at, kv_vector)},
                        {"y_stride", InVectors(a.out_at, 4)}}};
  AddRowTiles(d, a, kRows);
  p.Run(d);
  return true;
}

}  // namespace daybreak
