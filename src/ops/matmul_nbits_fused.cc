// MatMulNBitsQkv and MatMulNBitsMlp: [skip +] RMS norm and the products that share its result. ONNX Runtime
// creates these nodes for the name WebGpuExecutionProvider, for any bit width, block size and number of rows.
#include "core/variant.h"
#include "ops/matmul_nbits.h"
#include "ops/norm.h"

namespace daybreak {
namespace {

struct Fused {
  NbitsFew few;
  Shape lead;  // dimensions of x without the last
};

// Reads x, skip, norm scale and the attributes that both operators have, and creates the sum (output `sum`).
Fused ReadFused(Plan& p, size_t sum, float eps) {
  Fused f;
  NbitsProduct& q = f.few.first;
  q.x = p.In(0);
  q.k = U32(p.Attr("K", 0));
  q.bits = U32(p.Attr("bits", 4));
  q.block = U32(p.Attr("block_size", 32));
  f.lead = q.x->shape;
  Check(!f.lead.empty() && f.lead.back() == q.k, "Input 0 has shape ", ToString(q.x->shape),
        "; its last dimension must be K = ", q.k, ".");
  f.lead.pop_back();
  q.m = U32(Count(f.lead));
  f.few.skip = p.In(1);
  f.few.norm = p.In(2);
  f.few.eps = p.Attr("epsilon", eps);
  f.few.sum = p.OutCount() > sum ? p.Out(sum, q.x->shape) : nullptr;
  return f;
}

// The weight at input `i` for output columns `n`; `has_bias`: a bias input follows the scales.
NbitsWeight WeightAt(Plan& p, size_t i, bool has_bias, int64_t n) {
  return {.w = p.In(i), .scales = p.In(i + 1), .bias = has_bias ? p.In(i + 2) : nullptr, .n = U32(n)};
}

Shape WithColumns(Shape lead, int64_t n) {
  lead.push_back(n);
  return lead;
}

// x after the norm, in memory, for kernels that do not normalise on the way.
const Tensor* Normalise(Plan& p, const NbitsFew& few) {
  const Tensor* x = few.first.x;
  const Tensor* y = x;
  if (few.norm) {
    y = p.Scratch(x->type, x->shape);
    RunNorm(p, {.x = x,
                .skip = few.skip,
                .scale = few.norm,
                .y = y,
                .sum = few.sum,
                .cols = few.first.k,
                .eps = few.eps});
  }
  return y;
}

bool OneDispatch(Plan& p, const NbitsFew& few) {
  const bool wanted = few.first.m <= kNbitsFewRows && p.Device().device_class != DeviceClass::kSoftware;
  return (wanted || IsForced("nbits_fused")) && CanRunNbitsFew(p.Device(), few);
}

void Qkv(Plan& p) {
  Fused f = ReadFused(p, 3, 1e-6f);
  NbitsFew& few = f.few;
  // Newer schemas have a bias after each pair of weights and scales.
  const bool has_bias = p.InCount() > 9;
  const size_t step = has_bias ? 3 : 2;
  const int64_t nq = p.Attr("Nq", 0), nkv = p.Attr("Nkv", 0);
  NbitsWeight* weights[] = {&few.first.weight, &few.more[0], &few.more[1]};
  for (size_t i = 0; i < 3; ++i) {
    *weights[i] = WeightAt(p, 3 + i * step, has_bias, i == 0 ? nq : nkv);
    weights[i]->y = p.Out(i, WithColumns(f.lead, weights[i]->n));
  }
  if (few.first.m == 0) return;
  if (OneDispatch(p, few)) return RunNbitsFew(p, few);
  NbitsProduct one = few.first;
  one.x = Normalise(p, few);
  for (const NbitsWeight* w : weights) {
    one.weight = *w;
    MultiplyNbits(p, one);
  }
}

void Mlp(Plan& p) {
  Fused f = ReadFused(p, 1, 1e-5f);
  NbitsFew& few = f.few;
  few.gated = true;
  const int64_t n = p.Attr("N", 0);
  few.first.weight = WeightAt(p, 3, true, n);
  few.more[0] = WeightAt(p, 6, true, n);
  few.first.weight.y = p.Out(0, WithColumns(f.lead, n));
  if (few.first.m == 0) return;
  if (OneDispatch(p, few)) return RunNbitsFew(p, few);
  const Tensor* y = few.first.weight.y;
  NbitsProduct one = few.first;
  one.x = Normalise(p, few);
  one.weight.y = p.Scratch(y->type, y->shape);
  MultiplyNbits(p, one);
  NbitsProduct up = one;
  up.weight = few.more[0];
  up.weight.y = p.Scratch(y->type, y->shape);
  MultiplyNbits(p, up);
  const uint32_t width = y->count() % 4 == 0 ? 4 : 1;
  Dispatch d{.shader = "silu_times",
             .in = {{"gate", one.weight.y, width}, {"up", up.weight.y, width}},
             .out = {{"y", y, width}},
             .params = {{"size", U32(y->count())}}};
  d.grid = {CeilDiv<int64_t>(y->count(), 64 * PerThread(d.out[0]))};
  p.Run(d);
}

std::string Declines(const NodeView& n) {
  const std::string activation = n.attrs.String("activation", "silu");
  if (activation != "silu") return Join("activation is '", activation, "'; the kernel applies silu");
  return DeclineNbits(n.Attr("bits", 4), n.Attr("block_size", 32));
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "MatMulNBitsQkv",
     .types = "T1: f32 f16; T2: u8",
     .plan = Qkv,
     .declines = Declines},
    {.domain = "com.microsoft",
     .name = "MatMulNBitsMlp",
     .types = "T1: f32 f16; T2: u8",
     .plan = Mlp,
     .declines = Declines},
};

}  // namespace
}  // namespace daybreak
