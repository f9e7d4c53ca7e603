#include "ops/nbits_pack.h"

namespace daybreak {

Dispatch PackColumns(const Tensor* from, const Tensor* to, const PackedOrder& order, uint32_t first,
                     uint32_t end) {
  const uint32_t words = order.bytes / 4;  // of an element; 0: several elements a word
  const uint32_t width = words == 0 ? 1 : words;
  const uint64_t bytes = uint64_t{end - first} * order.rows * order.bytes;
  const uint64_t threads = CeilDiv<uint64_t>(bytes, uint64_t{4} * width);
  return {.shader = "nbits_pack",
          .consts = {{"BYTES", order.bytes}, {"WHOLE", words != 0}},
          .in = {{"x", from, width, View::kWords}},
          .out = {{"y", to, width, View::kWords}},
          .params = {{"size", U32(static_cast<int64_t>(threads))},
                     {"first", first},
                     {"columns", order.columns},
                     {"rows", order.rows}},
          .grid = {static_cast<int64_t>(CeilDiv<uint64_t>(threads, 256))}};
}

}  // namespace daybreak
