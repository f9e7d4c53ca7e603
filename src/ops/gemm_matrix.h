// Products of f16 matrices on a device's matrix units.
#pragma once

#include "ops/gemm.h"

namespace daybreak {

// Block-quantised columns in place of `Product::b`: w [n][blocks][block * bits / 8 bytes], scales
// [n][blocks], zeros packed u8 or of the scales' type, or nullptr for 2^(bits - 1).
struct QuantisedColumns {
  const Tensor* w = nullptr;
  const Tensor* scales = nullptr;
  const Tensor* zeros = nullptr;
  uint32_t bits = 4, block = 32;
};

// True when the device multiplies f16 matrices into f32 and the operands lie as the kernel reads them: rows
// of A, and rows or columns of B, contiguous and in steps of eight elements. `quantised` replaces B when
// given.
bool FitsMatrixUnits(const DeviceInfo& device, const Product& product,
                     const QuantisedColumns* quantised = nullptr);

// Runs one dispatch; the product must fit.
void MultiplyOnMatrixUnits(Plan& p, const Product& product, const QuantisedColumns* quantised = nullptr);

}  // namespace daybreak
