// MatMulNBits: activations times block-quantised weights [N][blocks][block bytes], K inside.
#include "ops/matmul_nbits.h"

#include <algorithm>

#include "core/variant.h"
#include "ops/gemm_matrix.h"

namespace daybreak {

uint32_t NbitsProduct::load_words() const { return std::min(4u, block * bits / 32); }

namespace {

Dispatch Common(const NbitsProduct& q, const char* shader) {
  const NbitsWeight& w = q.weight;
  const uint32_t words = q.load_words();
  const bool typed_zeros = w.zeros && IsFloat(w.zeros->type);
  const bool x4 = q.k % 4 == 0;
  Dispatch d{.shader = shader,
             .consts = {{"BITS", q.bits},
                        {"BLOCK", q.block},
                        {"WORDS", words},
                        {"WIDE", words > 1},
                        {"X4", x4},
                        {"ZEROS_U8", w.zeros && !typed_zeros},
                        {"ZEROS_T", typed_zeros},
                        {"BIAS", w.bias != nullptr}},
             .in = {{"x", q.x, x4 ? 4u : 1u}, {"w", w.w, words, View::kWords}, {"scales", w.scales}},
             .out = {{"y", w.y}},
             .params = {{"m", q.m}, {"k", q.k}, {"n", w.n}, {"blocks", q.blocks()}}};
  if (w.zeros) d.in.push_back({"zeros", w.zeros, 1, typed_zeros ? View::kTyped : View::kWords});
  if (w.bias) d.in.push_back({"bias", w.bias});
  return d;
}

void Few(Plan& p, const NbitsProduct& q) { RunNbitsFew(p, {.first = q}); }

void Tile(Plan& p, const NbitsProduct& q) {
  const auto tiles = [&](uint32_t side) { return int64_t{CeilDiv(q.m, side)} * CeilDiv(q.weight.n, side); };
  const uint32_t span = tiles(128) >= 96 ? 2 : 1;  // large tiles only where they fill a GPU
  Dispatch d = Common(q, "gemm_tile");
  for (const Const& c : {Const{"NBITS", true}, {"SPAN", span}, {"A_ALONG_M", false}, {"B_ALONG_N", false}})
    d.consts.push_back(c);
  d.params.push_back({"tiles_m", CeilDiv(q.m, 64 * span)});
  d.params.push_back({"tiles_n", CeilDiv(q.weight.n, 64 * span)});
  d.grid = {tiles(64 * span)};
  p.Run(d);
}

bool FitsMatrix(const DeviceInfo& device, const NbitsProduct& q) {
  return FitsMatrixUnits(device, NbitsFew{.first = q});
}

void Matrix(Plan& p, const NbitsProduct& q) { MultiplyOnMatrixUnits(p, NbitsFew{.first = q}); }

constexpr auto kAlways = [](const DeviceInfo&, const NbitsProduct&) { return true; };

// Few rows need no reuse beyond registers, and neither does a processor, whose caches hold everything.
constexpr Variant<NbitsProduct> kVariants[] = {
    {"nbits_few", kAlways,
     [](const DeviceInfo& d, const NbitsProduct& q) {
       return q.m <= kNbitsFewRows || d.device_class == DeviceClass::kSoftware;
     },
     Few},
    {"nbits_matrix", FitsMatrix, kAlways, Matrix},
    {"nbits_tile", kAlways, kAlways, Tile},
};

void MatMulNBits(Plan& p) {
  NbitsProduct q{.x = p.In(0),
                 .weight = {.w = p.In(1), .scales = p.In(2), .zeros = p.In(3), .bias = p.In(5)},
                 .k = U32(p.Attr("K", 0)),
                 .bits = U32(p.Attr("bits", 4)),
                 .block = U32(p.Attr("block_size", 32))};
  q.weight.n = U32(p.Attr("N", 0));
  Shape shape = q.x->shape;
  Check(!shape.empty() && shape.back() == q.k, "Input 0 has shape ", ToString(shape),
        "; its last dimension must be K = ", q.k, ".");
  shape.back() = q.weight.n;
  q.m = U32(Count(shape, 0, shape.size() - 1));
  q.weight.y = p.Out(0, shape);
  MultiplyNbits(p, q);
}

std::string Declines(const NodeView& n) {
  if (n.Has(4)) return "g_idx (input 4) reorders K; no kernel does";
  return DeclineNbits(n.Attr("bits", 4), n.Attr("block_size", 32));
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "MatMulNBits",
     .until = 1,
     .types = "T1: f32 f16; T2: u8; T3: u8 f32 f16",
     .plan = MatMulNBits,
     .declines = Declines},
};

}  // namespace

void MultiplyNbits(Plan& p, const NbitsProduct& product) {
  if (product.m != 0 && product.weight.n != 0) RunVariant(p, product, kVariants);
}

std::string DeclineNbits(int64_t bits, int64_t block) {
  if (bits != 2 && bits != 4 && bits != 8) return Join("bits is ", bits, "; kernels exist for 2, 4 and 8");
  if (block < 16 || (block & (block - 1)) != 0)
    return Join("block_size is ", block, "; kernels take powers of two from 16");
  return "";
}

}  // namespace daybreak
