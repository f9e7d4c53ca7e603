// The products in front of and behind a gated pair, which MatMulNBitsChain computes with it.
#pragma once

#include <functional>
#include <optional>

#include "ep/fuse.h"
#include "ep/uses.h"

namespace daybreak {

// A MatMulNBitsGated: two products of the norm of x + skip.
struct GatedPair {
  size_t gate, up;  // nodes of the products
  Value x, skip, scale, sum;
  float eps;
  const char* activation;
  Value y;
  std::vector<size_t> nodes;  // all of them
};

// The chain around the pair: a product that gives x or skip to the norm alone, and one that alone reads y.
// All four products are f16, of one format, and without biases and zero points. `is_product` tells
// MatMulNBits nodes that may be taken. Nothing that the chain reads but constants comes from its own nodes.
std::optional<FusedNodes> FindChain(const std::vector<Candidate>& nodes, const Uses& uses,
                                    const std::function<bool(size_t)>& is_product, const GatedPair& pair);

}  // namespace daybreak
