// MatMulNBits: activations times block-quantised weights [N][blocks][block bytes], K inside.
#include <algorithm>
#include <bit>

#include "core/variant.h"

namespace daybreak {
namespace {

struct Problem {
  const Tensor *x, *w, *scales, *zeros, *bias, *y;
  uint32_t m, k, n, bits, block, blocks;
};

Problem ReadProblem(Plan& p) {
  Problem q{};
  q.x = p.In(0);
  q.w = p.In(1);
  q.scales = p.In(2);
  q.zeros = p.In(3);
  q.bias = p.In(5);
  q.k = U32(p.Attr("K", 0));
  q.n = U32(p.Attr("N", 0));
  q.bits = U32(p.Attr("bits", 4));
  q.block = U32(p.Attr("block_size", 32));
  q.blocks = CeilDiv(q.k, q.block);
  Shape shape = q.x->shape;
  Check(!shape.empty() && shape.back() == q.k, "Input 0 has shape ", ToString(shape),
        "; its last dimension must be K = ", q.k, ".");
  shape.back() = q.n;
  q.m = q.k == 0 ? U32(Count(shape, 0, shape.size() - 1)) : U32(q.x->count() / q.k);
  q.y = p.Out(0, shape);
  return q;
}

// u32 words a load: as wide as rows are aligned, and never across a block.
uint32_t LoadWords(const Problem& q) { return std::min(4u, q.block * q.bits / 32); }

Dispatch Common(const Problem& q, const char* shader) {
  const uint32_t words = LoadWords(q);
  const bool typed_zeros = q.zeros && IsFloat(q.zeros->type);
  const bool x4 = q.k % 4 == 0;
  Dispatch d{.shader = shader,
             .consts = {{"BITS", q.bits},
                        {"BLOCK", q.block},
                        {"WORDS", words},
                        {"WIDE", words > 1},
                        {"X4", x4},
                        {"ZEROS_U8", q.zeros && !typed_zeros},
                        {"ZEROS_T", typed_zeros},
                        {"BIAS", q.bias != nullptr}},
             .in = {{"x", q.x, x4 ? 4u : 1u}, {"w", q.w, words, View::kWords}, {"scales", q.scales}},
             .out = {{"y", q.y}},
             .params = {{"m", q.m}, {"k", q.k}, {"n", q.n}, {"blocks", q.blocks}}};
  if (q.zeros) d.in.push_back({"zeros", q.zeros, 1, typed_zeros ? View::kTyped : View::kWords});
  if (q.bias) d.in.push_back({"bias", q.bias});
  return d;
}

// One team of lanes for a few columns; the workgroup shares one set of columns when K is long or columns are
// few.
void Gemv(Plan& p, const Problem& q) {
  constexpr uint32_t kThreads = 128;
  const uint32_t size = p.Device().subgroup_size();
  const uint32_t chunks = q.blocks * q.block * q.bits / 32 / LoadWords(q);
  const bool split = size == 0 || chunks >= 4 * size;
  const uint32_t teams = split ? 1 : kThreads / size;
  const uint32_t rows = std::bit_ceil(q.m);
  uint32_t columns = 4;
  while (columns > 1 && (q.n / (columns * teams) < 264 || columns * rows > 16)) columns /= 2;
  Dispatch d = Common(q, "matmul_nbits_gemv");
  for (const Const& c : {Const{"M", q.m}, {"COLUMNS", columns}, {"SPLIT", split}, {"WG", kThreads}})
    d.consts.push_back(c);
  d.grid = {CeilDiv(q.n, columns * teams)};
  p.Run(d);
}

void Lane(Plan& p, const Problem& q) {
  constexpr uint32_t kThreads = 64;
  const uint32_t rows = std::min(q.m, 8u);
  Dispatch d = Common(q, "matmul_nbits_lane");
  d.consts.push_back({"M", rows});
  d.consts.push_back({"WG", kThreads});
  d.params.push_back({"row_tiles", CeilDiv(q.m, rows)});
  d.grid = {int64_t{CeilDiv(q.n, kThreads)} * CeilDiv(q.m, rows)};
  p.Run(d);
}

void Tile(Plan& p, const Problem& q) {
  const auto tiles = [&](uint32_t side) { return int64_t{CeilDiv(q.m, side)} * CeilDiv(q.n, side); };
  const uint32_t span =
      tiles(128) >= 96 ? 2 : 1;  // of 64 rows and columns: large tiles only where they fill a GPU
  Dispatch d = Common(q, "gemm_tile");
  for (const Const& c : {Const{"NBITS", true}, {"SPAN", span}, {"A_ALONG_M", false}, {"B_ALONG_N", false}})
    d.consts.push_back(c);
  d.params.push_back({"tiles_m", CeilDiv(q.m, 64 * span)});
  d.params.push_back({"tiles_n", CeilDiv(q.n, 64 * span)});
  d.grid = {tiles(64 * span)};
  p.Run(d);
}

constexpr auto kAlways = [](const DeviceInfo&, const Problem&) { return true; };

// A processor without wide memory shares loads of x between lanes; a GPU wants its lanes along K when rows
// are few.
constexpr Variant<Problem> kVariants[] = {
    {"nbits_lane", kAlways,
     [](const DeviceInfo& d, const Problem&) { return d.device_class == DeviceClass::kSoftware; }, Lane},
    {"nbits_gemv", [](const DeviceInfo& d, const Problem& q) { return d.subgroups && q.m <= 8; }, kAlways,
     Gemv},
    {"nbits_tile", kAlways, kAlways, Tile},
};

void MatMulNBits(Plan& p) {
  const Problem q = ReadProblem(p);
  if (q.m != 0 && q.n != 0) RunVariant(p, q, kVariants);
}

std::string Declines(const NodeView& n) {
  const int64_t bits = n.Attr("bits", 4), block = n.Attr("block_size", 32);
  if (bits != 2 && bits != 4 && bits != 8) return Join("bits is ", bits, "; kernels exist for 2, 4 and 8");
  if (block < 16 || (block & (block - 1)) != 0)
    return Join("block_size is ", block, "; kernels take powers of two from 16");
  if (n.Has(4)) return "g_idx (input 4) reorders K; no kernel does";
  return "";
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
}  // namespace daybreak
