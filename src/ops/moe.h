// Mixtures of experts: what MoE and QMoE share, and the products that their kernels compute.
#pragma once

#include "core/op.h"

namespace daybreak {

// One matrix of every expert: w [experts][rows][k], quantised (u8, packed along k) or of floats. Quantised:
// scales [experts][rows][blocks], and zeros [experts][rows][bytes], or [experts][bytes] where a row is one
// block; the middle of the range when absent. bias [experts][rows] may be absent.
struct ExpertMatrix {
  const Tensor *w = nullptr, *scales = nullptr, *zeros = nullptr, *bias = nullptr;
};

// Which rows of the matrices make a gated result.
enum class Gate : uint8_t {
  kNone,         // a result is one row
  kInterleaved,  // rows 2 i and 2 i + 1
  kHalves,       // rows i and n + i
  kSecond,       // row i of each of two matrices
};

// y [..][n] = activation(x * W^T + bias), each row with the matrix of its expert.
struct ExpertProduct {
  const Tensor *x = nullptr, *y = nullptr;
  ExpertMatrix first, second;  // second: only for Gate::kSecond
  Gate gate = Gate::kNone;
  uint32_t k = 0, n = 0, bits = 0;  // bits of a weight: 2, 4, 8, or 16 and 32 for floats
  uint32_t block = 0;               // weights that share a scale; 0: a whole row
  uint32_t share = 1;               // slots that take the same row of x
  const char* functions = "";       // WGSL: activate(v) and gate(v, up)
  bool swiglu = false;              // `functions` read alpha, beta and limit
  float alpha = 1, beta = 0, limit = 0;

  bool fused() const { return gate == Gate::kInterleaved || gate == Gate::kHalves; }
  uint32_t rows() const { return fused() ? 2 * n : n; }
  uint32_t columns() const { return gate == Gate::kNone ? n : 2 * n; }
  uint32_t blocks() const { return block == 0 ? 1 : CeilDiv(k, block); }
};

// Where each slot (a token's place for one of its experts) goes: experts u32 and shares f32 [tokens][top].
struct Routes {
  const Tensor *experts = nullptr, *shares = nullptr;
  uint32_t tokens = 0, top = 0, count = 0;  // count: of experts
};

// Each slot by itself. y [slots][n]; `mixed` sums a token's slots by their shares: y [tokens][n].
void MultiplySlots(Plan& p, const ExpertProduct& product, const Routes& routes, bool mixed);
// The same with packed integer products, where the device and the weights suit them.
bool CanMultiplyInIntegers(const DeviceInfo& device, const ExpertProduct& product);
void MultiplySlotsInIntegers(Plan& p, const ExpertProduct& product, const Routes& routes, bool mixed);

// How a kernel reads rows of weights: `words` u32 a load, from aligned addresses or from any.
struct ExpertLoads {
  uint32_t words = 1;
  bool aligned = false;
  uint32_t runs = 0;  // loads a row
};
// `widest`: u32 of a load where rows allow it.
ExpertLoads LoadsOf(const ExpertProduct& product, uint32_t widest);
// A dispatch with what lib/moe_expert.wgsl needs, x and y.
Dispatch StartExperts(const char* shader, const ExpertProduct& product, const ExpertLoads& loads, Bind x);

// Slots of a tile of MultiplyFewRows, and of the larger ones.
inline constexpr uint32_t kFewRows = 4, kTileRows = 64;

// The slots of some tokens in tiles of up to `rows` slots of one expert.
struct SlotTiles {
  const Tensor *order = nullptr, *tiles = nullptr;
  const Tensor* peaks = nullptr;  // room for the largest magnitudes of rows; only for matrix units
  uint32_t first = 0, slots = 0;  // of the routes
  uint32_t count = 0;             // of tiles, at most
};
SlotTiles SortSlots(Plan& p, const Routes& routes, uint32_t first_token, uint32_t tokens, uint32_t rows,
                    bool peaks);

// Slots of the tiles together. y [tiles.slots][n]; `x_by_token`: x has a row a token of the routes, else a
// row a slot of the tiles.
void MultiplyFewRows(Plan& p, const ExpertProduct& product, const SlotTiles& tiles, bool x_by_token);
void MultiplyTiles(Plan& p, const ExpertProduct& product, const SlotTiles& tiles, bool x_by_token);
// On matrix units: f16 rows of tokens, or the f32 results of such a product. Both must fit.
void MultiplyTilesOnMatrixUnits(Plan& p, const ExpertProduct& product, const SlotTiles& tiles,
                                bool x_by_token);
bool FitsMatrixUnits(const DeviceInfo& device, const ExpertProduct& product);

}  // namespace daybreak
