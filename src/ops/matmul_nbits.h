// Products with block-quantised weights: what MatMulNBits and its fused forms share.
#pragma once

#include "core/op.h"

namespace daybreak {

// One weight matrix [n][blocks][bytes of a block], its scales [n][blocks] and zero points, in packed order
// (core/packing.h), and what goes with it.
struct NbitsWeight {
  const Tensor* w = nullptr;
  const Tensor* scales = nullptr;
  const Tensor* zeros =
      nullptr;  // u8, packed like the weights, or floats; the middle of the range when absent
  const Tensor* bias = nullptr;  // [n]
  const Tensor* y = nullptr;     // [m][n]
  uint32_t n = 0;
};

// K is quantised in blocks of `block` weights of `bits` bits.
struct NbitsFormat {
  uint32_t k = 0, bits = 4, block = 32;

  uint32_t blocks() const { return CeilDiv(k, block); }
  // u32 words of an element of packed weights, the widest load of a kernel: a vector that does not cross a
  // block.
  uint32_t load_words() const;
};

// The format by the attributes K, bits and block_size.
NbitsFormat FormatOf(const Attrs& attrs);

// The dimensions of x without the last, which must be K.
Shape LeadOf(const Tensor& x, uint32_t k);
Shape WithColumns(Shape lead, int64_t n);

// Lists inputs that kernels read in packed order: the weights `w` of n columns, their scales, and their zero
// points where they are present.
void AddPackedWeight(PackedInputs& packed, std::span<const ValueInfo> in, size_t w, size_t scales,
                     size_t zeros, const NbitsFormat& format, int64_t n);

// y = x * W^T + bias for x [m][k].
struct NbitsProduct : NbitsFormat {
  const Tensor* x = nullptr;
  NbitsWeight weight;
  uint32_t m = 0;
};

// Chooses a kernel and runs it. Nothing happens when y is empty.
void MultiplyNbits(Plan& p, const NbitsProduct& product);

// A product of few rows in which x may be normalised on the way and up to three weights share it.
struct NbitsFew {
  NbitsProduct first;   // x is the input of the norm
  NbitsWeight more[2];  // absent where w is null
  // Code of a WGSL function, "fn activate(v: f32) -> f32 { ... }" in static memory: two weights give one
  // result, y = activate(first) * more[0].
  const char* activate = nullptr;
  const Tensor* skip = nullptr;  // added to x before the norm, repeated over its rows
  const Tensor* norm = nullptr;  // RMS norm scale [k]; no norm when absent
  const Tensor* sum = nullptr;   // receives x + skip
  float eps = 0;

  bool gated() const { return activate != nullptr; }
};

// Adds the weights of a product and what goes with them, in loads of `words` u32 (a divisor of load_words())
// and with results of `y_width` elements, and the constants of lib/nbits_weights.wgsl; GATED, and ACTIVATE
// with it.
void AddNbitsWeights(Dispatch& d, const NbitsFew& few, uint32_t words, uint32_t y_width = 1,
                     View y_view = View::kTyped);
// True when one dispatch can take the weights: either all or none have biases and zero points, which are of
// one kind, the second and third have one shape, and with `others` bindings they are not more than the device
// has.
bool NbitsWeightsFit(const DeviceInfo& device, const NbitsFew& few, uint64_t others);

// Rows that one dispatch of RunNbitsFew shares the weights between.
inline constexpr uint32_t kNbitsFewRows = 8;
// The weights must fit (NbitsWeightsFit), and a norm takes rows in steps of four.
bool CanRunNbitsFew(const DeviceInfo& device, const NbitsFew& few);
void RunNbitsFew(Plan& p, const NbitsFew& few);

// Runs a product with a gate, by one dispatch or several; the result goes to few.first.weight.y. Both weights
// have biases and zero points or none.
void RunGatedNbits(Plan& p, NbitsFew few);

// The reason why no kernel takes these attributes, or "".
std::string DeclineNbits(int64_t bits, int64_t block);

}  // namespace daybreak
