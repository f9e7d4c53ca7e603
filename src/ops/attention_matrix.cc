// FlashAttention on subgroup matrices (attention_matrix.wgsl).
#include <algorithm>
#include <span>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/attention.h"

namespace daybreak {
namespace {

// Subgroups of a workgroup: for 16 query rows each, and for a share of the keys each.
struct Tile {
  uint32_t row_subs, key_subs;
  uint32_t threads() const { return 32 * row_subs * key_subs; }
  int64_t rows() const { return 16 * row_subs; }
};
constexpr uint32_t kKeys = 32;  // of a subgroup at once; 64 leave room for fewer workgroups on a core

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

uint64_t WorkgroupBytes(int64_t head, const Tile& t) {
  const int64_t vectors = 2 * t.key_subs * kKeys * (head / 8 + 1) + t.threads() / 2 * (kKeys / 4 + 1);
  return static_cast<uint64_t>(vectors) * 16 + (t.key_subs > 1 ? t.threads() * 4 : 0) + 4;
}

// Most rows share the keys that a workgroup stages. Where that makes no more workgroups than the device has
// cores, one workgroup's way through the keys decides, and two subgroups that share it halve it: 512 tokens
// of smol135 (72 workgroups) take 20 us instead of 27 on an H100, but those of llama1b (256) 44 instead
// of 32.
Tile TileOf(const Attention& a, const DeviceInfo& device) {
  constexpr Tile kMany{4, 1}, kFew{2, 2};
  const int64_t groups = a.batch * a.kv_heads * CeilDiv(a.seq * (a.heads / a.kv_heads), kMany.rows());
  const uint32_t rows = groups <= FactsOf(device.device_class).cores ? 32 : 64;
  const bool few = Forced("attention_rows", rows) == kFew.rows();
  return few && WorkgroupBytes(a.head, kFew) <= device.workgroup_bytes ? kFew : kMany;
}

}  // namespace

bool AttendWithMatrices(Plan& p, const Attention& a) {
  const DeviceInfo& device = p.Device();
  const bool f16 = a.q->type == DType::kF16 && a.k->type == DType::kF16 && a.v->type == DType::kF16;
  if (!f16 || !HasMatrices(device) || WidthOf(a) != 4 || !InEights(a)) return false;
  if (a.head != a.v_head || a.head % 16 != 0 || a.head > 256) return false;
  const Tile t = TileOf(a, device);
  if (WorkgroupBytes(a.head, t) > device.workgroup_bytes) return false;

  // Packed rows are read a word at a time, by vectors of four elements.
  const uint32_t kv_width = a.kv_bits > 0 ? 1 : 4, kv_vector = a.kv_bits > 0 ? 4 : 8;
  Dispatch d{.shader = "attention_matrix",
             .consts = {{"H8", U32(a.head / 8)},
                        {"D", U32(a.head / 4)},
                        {"VALUES", true},
                        {"BN", kKeys},
                        {"ROW_SUBS", t.row_subs},
                        {"KEY_SUBS", t.key_subs},
                        {"SHARED_KEYS", t.key_subs > 1},
                        {"PLAIN_SCORES", a.softcap <= 0 && a.bias == nullptr},
                        {"HEAD_BLOCKS", U32(a.head / 16)},
                        {"KEY_BLOCKS", kKeys / 16},
                        {"QUADS", kKeys / 8},
                        {"LOADS", CeilDiv(t.key_subs * kKeys * U32(a.head / 8), t.threads())}},
             .in = {{"q", a.q, 4, View::kWords},
                    {"k_cache", a.k, kv_width, View::kWords},
                    {"v_cache", a.v, kv_width, View::kWords}},
             .out = {{"y", a.out, 4}},
             .params = {{"q_stride", InVectors(a.q_at, 8)},
                        {"k_stride", InVectors(a.k_at, kv_vector)},
                        {"v_stride", InVectors(a.v_at, kv_vector)},
                        {"y_stride", InVectors(a.out_at, 4)}}};
  AddRowTiles(d, a, t.rows());
  p.Run(d);
  return true;
}

}  // namespace daybreak
