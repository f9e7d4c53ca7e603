// Products of f16 matrices on a device's matrix units.
#pragma once

#include "ops/gemm.h"
#include "ops/matmul_nbits.h"

namespace daybreak {

// True when the device multiplies f16 matrices into f32 and the operands lie as the kernel reads them: rows
// of A, and rows or columns of B, contiguous and in steps of eight elements.
bool FitsMatrixUnits(const DeviceInfo& device, const Product& product);
// The same for products with quantised weights that share x. x must be normalised already: `norm`, `skip` and
// `sum` are absent.
bool FitsMatrixUnits(const DeviceInfo& device, const NbitsFew& product);

// Runs the product, which must fit.
void MultiplyOnMatrixUnits(Plan& p, const Product& product);
void MultiplyOnMatrixUnits(Plan& p, const NbitsFew& product);

}  // namespace daybreak
