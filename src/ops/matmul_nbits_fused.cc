// [skip +] RMS norm and the MatMulNBits that share its result. ONNX Runtime makes MatMulNBitsQkv and
// MatMulNBitsMlp for the name WebGpuExecutionProvider, src/ep/fuse.cc the others:
//   MatMulNBitsGroup: 1 to 3 products.
//     x, skip?, norm scale?, and w, scales, zeros?, bias? of each -> each y, sum?
//   MatMulNBitsGated: activation(gate) * up.
//     x, skip?, norm scale?, and w, scales, zeros?, bias? of gate and up -> y, sum?
//   Attributes: K, N, bits and block_size (lists: of each product), epsilon, activation.
// for any bit width, block size and number of rows.
#include "core/variant.h"
#include "ops/gated.h"
#include "ops/gemm_matrix.h"
#include "ops/matmul_nbits.h"
#include "ops/norm.h"

namespace daybreak {
namespace {

struct Fused {
  NbitsFew few;
  Shape lead;  // dimensions of x without the last
};

// Reads x, skip, norm scale and the attributes that go with them, and creates the sum (output `sum`).
Fused ReadFused(Plan& p, const NbitsFormat& format, size_t sum, float eps) {
  Fused f;
  NbitsProduct& q = f.few.first;
  static_cast<NbitsFormat&>(q) = format;
  q.x = p.In(0);
  f.lead = LeadOf(*q.x, q.k);
  q.m = U32(Count(f.lead));
  f.few.skip = p.In(1);
  f.few.norm = p.In(2);
  f.few.eps = p.Attr("epsilon", eps);
  const Tensor *skip = f.few.skip, *norm = f.few.norm;
  Check(norm == nullptr || norm->count() == q.k, "The norm's scale has shape ",
        norm ? ToString(norm->shape) : "", ", but K = ", q.k, ".");
  Check(skip == nullptr || q.m == 0 ||
            (skip->count() > 0 && skip->count() % q.k == 0 && q.x->count() % skip->count() == 0),
        "Skip ", skip ? ToString(skip->shape) : "", " does not broadcast to ", ToString(q.x->shape), ".");
  f.few.sum = p.OutCount() > sum ? p.Out(sum, q.x->shape) : nullptr;
  return f;
}

// What follows a weight and its scales among the inputs.
enum class Form { kNothing, kBias, kZerosAndBias };
size_t InputsOf(Form form) { return 2 + static_cast<size_t>(form); }

// Newer schemas of MatMulNBitsQkv have a bias after each pair of weights and scales.
Form QkvForm(size_t inputs) { return inputs > 9 ? Form::kBias : Form::kNothing; }

// The format of product i by the attributes of MatMulNBitsGroup and MatMulNBitsGated.
NbitsFormat FormatOf(const Attrs& attrs, size_t i) {
  return {U32(attrs.Int("K", 0)), U32(attrs.Ints("bits")[i]), U32(attrs.Ints("block_size")[i])};
}

// The weight at input `i` for output columns `n`.
NbitsWeight WeightAt(Plan& p, size_t i, Form form, int64_t n) {
  NbitsWeight w{.w = p.In(i), .scales = p.In(i + 1), .n = U32(n)};
  if (form == Form::kZerosAndBias) w.zeros = p.In(i + 2);
  if (form != Form::kNothing) w.bias = p.In(i + InputsOf(form) - 1);
  return w;
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

// Where a dispatch for each step costs more than the norm in each of their workgroups.
bool JoinsSteps(Plan& p, const NbitsFew& few) {
  if (IsForced("nbits_steps")) return false;
  const bool wanted = few.first.m <= kNbitsFewRows && p.Device().device_class != DeviceClass::kSoftware;
  return wanted || IsForced("nbits_fused");
}

const Family kFamily("nbits_fused", {"nbits_fused",
                                     "nbits_steps",
                                     "nbits_steps,nbits_matrix",
                                     "nbits_fused,nbits_dot,dot_columns=8",
                                     "nbits_fused,nbits_dot,dot_columns=16",
                                     "nbits_fused,nbits_dot,dot_columns=32",
                                     "nbits_fused,nbits_dot,dot_columns=64",
                                     "nbits_fused,nbits_dot,dot_slices=8",
                                     "nbits_fused,nbits_dot,dot_slices=16",
                                     "nbits_fused,nbits_dot,dot_slices=32",
                                     "nbits_fused,nbits_dot,dot_slices=64",
                                     "nbits_fused,nbits_team",
                                     "nbits_fused,nbits_team,team_lanes=32",
                                     "nbits_fused,nbits_team,team_lanes=64",
                                     "nbits_fused,nbits_team,team_lanes=128",
                                     "nbits_steps,nbits_tile",
                                     "matrix_4x4",
                                     "matrix_8_2x4",
                                     "matrix_8_2x2",
                                     "matrix_2x2"});

// What `few` is to tuning, with the columns of its second and third weight.
struct FewScope : ProblemScope {
  FewScope(Plan& p, const NbitsFew& few, int64_t n1, int64_t n2)
      : ProblemScope(p, kFamily, few.first.x->type,
                     {{"m", SizeClass(few.first.m)},
                      {"n", few.first.weight.n},
                      {"n1", n1},
                      {"n2", n2},
                      {"k", few.first.k},
                      {"bits", few.first.bits},
                      {"block", few.first.block},
                      {"gated", few.gated()},
                      {"norm", few.norm != nullptr}}) {}
};

using Products = FixedVec<NbitsProduct, 3>;
using Parts = FixedVec<NbitsFew, 3>;

// `few` with products [begin, end) of one format; the first part writes the sum.
NbitsFew Part(const NbitsFew& few, const Products& products, size_t begin, size_t end) {
  NbitsFew part = few;
  part.first = products[begin];
  for (size_t i = begin + 1; i < end; ++i) part.more[i - begin - 1] = products[i].weight;
  if (begin > 0) part.sum = nullptr;
  return part;
}

// As few parts as the kernel and the device take; none when they do not take each product.
Parts Split(Plan& p, const NbitsFew& few, const Products& products,
            bool (*fits)(const DeviceInfo&, const NbitsFew&)) {
  const auto together = [&](size_t begin, size_t end) {
    for (size_t i = begin + 1; i < end; ++i)
      if (products[i].bits != products[begin].bits || products[i].block != products[begin].block)
        return false;
    return fits(p.Device(), Part(few, products, begin, end));
  };
  Parts parts;
  for (size_t begin = 0, end = products.size(); begin < products.size(); begin = end, end = products.size()) {
    while (end > begin && !together(begin, end)) --end;
    if (end == begin) return {};
    parts.push_back(Part(few, products, begin, end));
  }
  return parts;
}

// Runs products whose y is not there yet, as outputs 0, 1, ...
void RunGroup(Plan& p, Fused& f, Products& products) {
  NbitsFew& few = f.few;
  for (size_t i = 0; i < products.size(); ++i)
    products[i].weight.y = p.Out(i, WithColumns(f.lead, products[i].weight.n));
  if (few.first.m == 0) return;
  NbitsFew first = few;
  first.first = products[0];
  const auto columns = [&](size_t i) { return i < products.size() ? products[i].weight.n : 0; };
  const FewScope scope(p, first, columns(1), columns(2));
  if (JoinsSteps(p, few))
    if (const Parts parts = Split(p, few, products, CanRunNbitsFew); !parts.empty()) {
      for (const NbitsFew& part : parts) RunNbitsFew(p, part);
      return;
    }
  const Tensor* x = Normalise(p, few);
  for (NbitsProduct& product : products) product.x = x;
  if (few.first.m > kNbitsFewRows)
    if (const Parts parts = Split(p, {}, products, FitsMatrixUnits); !parts.empty()) {
      for (const NbitsFew& part : parts) MultiplyOnMatrixUnits(p, part);
      return;
    }
  for (const NbitsProduct& product : products) MultiplyNbits(p, product);
}

// Reads the gate's weight at input 3 and the other one after it, and runs both products and what joins them.
void RunGated(Plan& p, Fused& f, Form form, int64_t n) {
  NbitsFew& few = f.few;
  few.activate = ActivationCode(p.Attr("activation", "silu"));
  few.first.weight = WeightAt(p, 3, form, n);
  few.more[0] = WeightAt(p, 3 + InputsOf(form), form, n);
  few.first.weight.y = p.Out(0, WithColumns(f.lead, n));
  RunGatedNbits(p, few);
}

void Qkv(Plan& p) {
  Fused f = ReadFused(p, FormatOf(p.Attributes()), 3, 1e-6f);
  const Form form = QkvForm(p.InCount());
  Products products;
  for (size_t i = 0; i < 3; ++i) {
    products.push_back(f.few.first);
    products[i].weight = WeightAt(p, 3 + i * InputsOf(form), form, p.Attr(i == 0 ? "Nq" : "Nkv", 0));
  }
  RunGroup(p, f, products);
}

void Mlp(Plan& p) {
  Fused f = ReadFused(p, FormatOf(p.Attributes()), 1, 1e-5f);
  RunGated(p, f, Form::kBias, p.Attr("N", 0));
}

void Group(Plan& p) {
  const Attrs& attrs = p.Attributes();
  const auto columns = attrs.Ints("N");
  Fused f = ReadFused(p, FormatOf(attrs, 0), 3, 0);
  Products products;
  for (size_t i = 0; i < columns.size(); ++i) {
    products.push_back(f.few.first);
    static_cast<NbitsFormat&>(products[i]) = FormatOf(attrs, i);
    products[i].weight = WeightAt(p, 3 + i * InputsOf(Form::kZerosAndBias), Form::kZerosAndBias, columns[i]);
  }
  RunGroup(p, f, products);
}

void Gated(Plan& p) {
  Fused f = ReadFused(p, FormatOf(p.Attributes(), 0), 1, 0);
  RunGated(p, f, Form::kZerosAndBias, p.Attributes().Ints("N")[0]);
}

// The inputs of products that follow each other from input 3 on. `format` and `columns` take a product.
template <class Format, class Columns>
PackedInputs PackedOf(std::span<const ValueInfo> in, Form form, size_t products, const Format& format,
                      const Columns& columns) {
  PackedInputs packed;
  for (size_t i = 0; i < products; ++i) {
    const size_t w = 3 + i * InputsOf(form);
    const size_t zeros = form == Form::kZerosAndBias ? w + 2 : in.size();
    AddPackedWeight(packed, in, w, w + 1, zeros, format(i), columns(i));
  }
  return packed;
}

PackedInputs PackedQkv(const Attrs& attrs, std::span<const ValueInfo> in) {
  return PackedOf(
      in, QkvForm(in.size()), 3, [&](size_t) { return FormatOf(attrs); },
      [&](size_t i) { return attrs.Int(i == 0 ? "Nq" : "Nkv", 0); });
}

PackedInputs PackedMlp(const Attrs& attrs, std::span<const ValueInfo> in) {
  return PackedOf(
      in, Form::kBias, 2, [&](size_t) { return FormatOf(attrs); }, [&](size_t) { return attrs.Int("N", 0); });
}

// Of Group and of Gated.
PackedInputs PackedGroup(const Attrs& attrs, std::span<const ValueInfo> in) {
  const auto columns = attrs.Ints("N");
  return PackedOf(
      in, Form::kZerosAndBias, columns.size(), [&](size_t i) { return FormatOf(attrs, i); },
      [&](size_t i) { return columns[i]; });
}

std::string Declines(const NodeView& n) {
  const std::string activation = n.attrs.String("activation", "silu");
  if (ActivationCode(activation) == nullptr)
    return Join("activation is '", activation, "'; kernels apply silu and gelu_tanh");
  return DeclineNbits(n.Attr("bits", 4), n.Attr("block_size", 32));
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "MatMulNBitsQkv",
     .types = "T1: f32 f16; T2: u8",
     .plan = Qkv,
     .declines = Declines,
     .packed = PackedQkv},
    {.domain = "com.microsoft",
     .name = "MatMulNBitsMlp",
     .types = "T1: f32 f16; T2: u8",
     .plan = Mlp,
     .declines = Declines,
     .packed = PackedMlp},
    {.domain = kFusedDomain,
     .name = "MatMulNBitsGroup",
     .types = "T1: f32 f16",
     .plan = Group,
     .packed = PackedGroup},
    {.domain = kFusedDomain,
     .name = "MatMulNBitsGated",
     .types = "T1: f32 f16",
     .plan = Gated,
     .packed = PackedGroup},
};

}  // namespace

void RunGatedNbits(Plan& p, NbitsFew few) {
  if (few.first.m == 0) return;
  const FewScope scope(p, few, few.more[0].n, 0);
  const bool joins = JoinsSteps(p, few);
  if (joins && CanRunNbitsFew(p.Device(), few)) return RunNbitsFew(p, few);
  few.first.x = Normalise(p, few);
  few.skip = few.norm = few.sum = nullptr;
  if (joins && CanRunNbitsFew(p.Device(), few)) return RunNbitsFew(p, few);
  if (few.first.m > kNbitsFewRows && FitsMatrixUnits(p.Device(), few)) return MultiplyOnMatrixUnits(p, few);
  const Tensor* y = few.first.weight.y;
  NbitsProduct one = few.first;
  const Tensor* results[2];
  for (size_t i = 0; i < 2; ++i) {
    one.weight = i == 0 ? few.first.weight : few.more[0];
    one.weight.y = results[i] = p.Scratch(y->type, y->shape);
    MultiplyNbits(p, one);
  }
  RunGate(p, few.activate, results[0], results[1], y);
}

}  // namespace daybreak
