// MatMulNBits: activations times block-quantised weights [N][blocks][block bytes], K inside.
#include "ops/matmul_nbits.h"

#include <algorithm>

#include "core/variant.h"
#include "ops/gemm_matrix.h"

namespace daybreak {

uint32_t NbitsFormat::load_words() const { return std::min(4u, block * bits / 32); }

NbitsFormat FormatOf(const Attrs& attrs) {
  return {U32(attrs.Int("K", 0)), U32(attrs.Int("bits", 4)), U32(attrs.Int("block_size", 32))};
}

void AddPackedWeight(PackedInputs& packed, std::span<const ValueInfo> in, size_t w, size_t scales,
                     size_t zeros, const NbitsFormat& format, int64_t n) {
  const uint32_t columns = U32(n), words = format.load_words();
  const auto floats = [&](size_t i) {
    const auto bytes = static_cast<uint32_t>(BitsOf(in[i].type) / 8);
    packed.push_back({i, {columns, format.blocks(), bytes}});
  };
  packed.push_back({w, {columns, format.blocks() * (format.block * format.bits / 32 / words), 4 * words}});
  floats(scales);
  if (zeros >= in.size() || !in[zeros].present) return;
  if (IsFloat(in[zeros].type)) return floats(zeros);
  packed.push_back({zeros, {columns, CeilDiv(format.blocks() * format.bits, 8u), 1}});
}

namespace {

// Whether a weight has zero points, and of which kind.
enum class Zeros { kNone, kBytes, kFloats };
Zeros ZerosOf(const NbitsWeight& w) {
  if (w.zeros == nullptr) return Zeros::kNone;
  return IsFloat(w.zeros->type) ? Zeros::kFloats : Zeros::kBytes;
}

void Few(Plan& p, const NbitsProduct& q) { RunNbitsFew(p, {.first = q}); }

void Tile(Plan& p, const NbitsProduct& q) {
  const auto tiles = [&](uint32_t side) { return int64_t{CeilDiv(q.m, side)} * CeilDiv(q.weight.n, side); };
  const uint32_t span = tiles(128) >= 96 ? 2 : 1;  // large tiles only where they fill a GPU
  const bool x4 = q.k % 4 == 0;
  Dispatch d{
      .shader = "gemm_tile",
      .consts = {{"NBITS", true}, {"SPAN", span}, {"A_ALONG_M", false}, {"B_ALONG_N", false}, {"X4", x4}},
      .in = {{"x", q.x, x4 ? 4u : 1u}},
      .params = {{"m", q.m},
                 {"k", q.k},
                 {"n", q.weight.n},
                 {"blocks", q.blocks()},
                 {"tiles_m", CeilDiv(q.m, 64 * span)},
                 {"tiles_n", CeilDiv(q.weight.n, 64 * span)}},
      .grid = {tiles(64 * span)}};
  AddNbitsWeights(d, {.first = q}, q.load_words());
  p.Run(d);
}

bool FitsMatrix(const DeviceInfo& device, const NbitsProduct& q) {
  return FitsMatrixUnits(device, NbitsFew{.first = q});
}

void Matrix(Plan& p, const NbitsProduct& q) { MultiplyOnMatrixUnits(p, NbitsFew{.first = q}); }

constexpr auto kAlways = [](const DeviceInfo&, const NbitsProduct&) { return true; };

// Few rows need no reuse beyond registers, on no class of devices. From nine rows on, matrix units where a
// device lists f16 shapes with f32 sums and has subgroups of one size, as NVIDIA's do: they give several
// times the rate of the rest of a core. AMD's and Intel's have units but, through Vulkan, subgroups of
// several sizes; Apple's 8x8x8 are taken where they sum in f32; Qualcomm's list none: tiles. A processor's
// caches hold everything, so that staging gains nothing and its barriers cost: few rows at a time there,
// however many there are.
constexpr Variant<NbitsProduct> kVariants[] = {
    {"nbits_few", kAlways,
     [](const DeviceInfo& d, const NbitsProduct& q) {
       return q.m <= kNbitsFewRows || d.device_class == DeviceClass::kSoftware;
     },
     Few},
    {"nbits_matrix", FitsMatrix, kAlways, Matrix},
    {"nbits_tile", kAlways, kAlways, Tile},
};

const Family kFamily("nbits", {"nbits_few,nbits_dot",
                               "nbits_few,nbits_dot,dot_columns=8",
                               "nbits_few,nbits_dot,dot_columns=16",
                               "nbits_few,nbits_dot,dot_columns=32",
                               "nbits_few,nbits_dot,dot_columns=64",
                               "nbits_few,nbits_dot,dot_slices=8",
                               "nbits_few,nbits_dot,dot_slices=16",
                               "nbits_few,nbits_dot,dot_slices=32",
                               "nbits_few,nbits_dot,dot_slices=64",
                               "nbits_few,nbits_team",
                               "nbits_few,nbits_team,team_lanes=16",
                               "nbits_few,nbits_team,team_lanes=32",
                               "nbits_few,nbits_team,team_lanes=64",
                               "nbits_few,nbits_team,team_lanes=128",
                               "nbits_matrix,matrix_4x4",
                               "nbits_matrix,matrix_8_2x4",
                               "nbits_matrix,matrix_8_2x2",
                               "nbits_matrix,matrix_2x2",
                               "nbits_matrix,matrix_4x4,matrix_slices=2",
                               "nbits_matrix,matrix_4x4,matrix_slices=4",
                               "nbits_matrix,matrix_4x4,matrix_slices=8",
                               "nbits_matrix,matrix_8_2x4,matrix_slices=2",
                               "nbits_matrix,matrix_8_2x4,matrix_slices=4",
                               "nbits_matrix,matrix_8_2x4,matrix_slices=8",
                               "nbits_tile"});

void MatMulNBits(Plan& p) {
  NbitsProduct q{FormatOf(p.Attributes())};
  q.x = p.In(0);
  q.weight = {.w = p.In(1), .scales = p.In(2), .zeros = p.In(3), .bias = p.In(5)};
  q.weight.n = U32(p.Attr("N", 0));
  const Shape lead = LeadOf(*q.x, q.k);
  q.m = U32(Count(lead));
  q.weight.y = p.Out(0, WithColumns(lead, q.weight.n));
  MultiplyNbits(p, q);
}

PackedInputs Packed(const Attrs& attrs, std::span<const ValueInfo> in) {
  PackedInputs packed;
  AddPackedWeight(packed, in, 1, 2, 3, FormatOf(attrs), attrs.Int("N", 0));
  return packed;
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
     .declines = Declines,
     .packed = Packed},
};

}  // namespace

Shape LeadOf(const Tensor& x, uint32_t k) {
  Shape lead = x.shape;
  Check(!lead.empty() && lead.back() == k, "Input 0 has shape ", ToString(lead),
        "; its last dimension must be K = ", k, ".");
  lead.pop_back();
  return lead;
}

Shape WithColumns(Shape lead, int64_t n) {
  lead.push_back(n);
  return lead;
}

void AddNbitsWeights(Dispatch& d, const NbitsFew& few, uint32_t words, uint32_t y_width, View y_view) {
  constexpr struct {
    const char *w, *scales, *zeros, *bias, *y;
  } kNames[] = {{"w", "scales", "zeros", "bias", "y"},
                {"w1", "scales1", "zeros1", "bias1", "y1"},
                {"w2", "scales2", "zeros2", "bias2", "y2"}};
  const NbitsProduct& q = few.first;
  const NbitsWeight* weights[] = {&q.weight, &few.more[0], &few.more[1]};
  const Zeros zeros = ZerosOf(q.weight);
  for (size_t i = 0; i < 3; ++i) {
    const NbitsWeight& m = *weights[i];
    if (m.w == nullptr) continue;
    d.in.push_back({kNames[i].w, m.w, words, View::kWords});
    d.in.push_back({kNames[i].scales, m.scales});
    if (zeros == Zeros::kBytes) d.in.push_back({kNames[i].zeros, m.zeros, 1, View::kWords});
    if (zeros == Zeros::kFloats) d.in.push_back({kNames[i].zeros, m.zeros});
    if (m.bias) d.in.push_back({kNames[i].bias, m.bias});
    if (i == 0 || !few.gated()) d.out.push_back({kNames[i].y, m.y, y_width, y_view});
  }
  for (const Const& c : {Const{"BITS", q.bits},
                         {"BLOCK", q.block},
                         {"LOAD_WORDS", q.load_words()},
                         {"WORDS", words},
                         {"WIDE", words > 1},
                         {"ZEROS_U8", zeros == Zeros::kBytes},
                         {"ZEROS_T", zeros == Zeros::kFloats},
                         {"BIAS", q.weight.bias != nullptr},
                         {"GATED", few.gated()},
                         {"THREE", few.more[1].w != nullptr},
                         {"TWO", few.more[0].w != nullptr}})
    d.consts.push_back(c);
  if (few.gated()) d.consts.push_back({"ACTIVATE", Code{few.activate}});
}

bool NbitsWeightsFit(const DeviceInfo& device, const NbitsFew& few, uint64_t others) {
  const NbitsWeight& first = few.first.weight;
  uint64_t bindings = others;
  for (const NbitsWeight* w : {&first, &few.more[0], &few.more[1]}) {
    if (w->w == nullptr) continue;
    if ((w->bias != nullptr) != (first.bias != nullptr) || ZerosOf(*w) != ZerosOf(first)) return false;
    bindings += device.bindings(w->w->bytes()) + 1 + (w->bias != nullptr) + (w->zeros != nullptr);
    bindings += w == &first || !few.gated();  // y
  }
  if (few.more[1].w != nullptr && few.more[0].n != few.more[1].n) return false;
  return bindings <= device.max_storage_buffers;
}

void MultiplyNbits(Plan& p, const NbitsProduct& product) {
  if (product.m == 0 || product.weight.n == 0) return;
  const ProblemScope scope(p, kFamily, product.x->type,
                           {{"m", SizeClass(product.m)},
                            {"n", product.weight.n},
                            {"k", product.k},
                            {"bits", product.bits},
                            {"block", product.block}});
  RunVariant(p, product, kVariants);
}

std::string DeclineNbits(int64_t bits, int64_t block) {
  if (bits != 2 && bits != 4 && bits != 8) return Join("bits is ", bits, "; kernels exist for 2, 4 and 8");
  if (block < 16 || (block & (block - 1)) != 0)
    return Join("block_size is ", block, "; kernels take powers of two from 16");
  return "";
}

}  // namespace daybreak
