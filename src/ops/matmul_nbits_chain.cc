// MatMulNBitsChain: the products of a decoder layer behind its attention, of which src/ep/fuse_chain.cc makes
// one node.
//   s = x * O^T + skip;  y = (activation(n(s) * G^T) * (n(s) * U^T)) * D^T, n the RMS norm
//     x, skip, norm scale, and w and scales of O, G, U and D -> y, s?
//   Attributes: K (of O), N (columns of O, of G and U, and of D), bits, block_size, epsilon, activation.
#include <algorithm>
#include <bit>

#include "core/device_class.h"
#include "core/variant.h"
#include "ops/gated.h"
#include "ops/matmul_nbits.h"

namespace daybreak {
namespace {

struct Chain {
  NbitsFormat format;  // of O
  Shape lead;          // dimensions of x without the last
  uint32_t m = 0;
  uint32_t k[3], n[3];  // of the three steps
  const Tensor *x, *skip, *norm, *y, *sum;
  NbitsWeight o, gate, up, down;  // without y
  const char* activate;
  float eps;

  NbitsFormat FormatOf(size_t step) const { return {k[step], format.bits, format.block}; }
  uint32_t load_weights() const { return format.load_words() * 32 / format.bits; }
};

NbitsWeight WeightAt(Plan& p, size_t i, uint32_t n) { return {.w = p.In(i), .scales = p.In(i + 1), .n = n}; }

Chain ReadChain(Plan& p) {
  const std::vector<int64_t> columns = p.Attributes().Ints("N");
  Chain c{.format = FormatOf(p.Attributes())};
  for (size_t i = 0; i < 3; ++i) {
    c.n[i] = U32(columns.at(i));
    c.k[i] = i == 0 ? c.format.k : c.n[i - 1];
  }
  c.x = p.In(0);
  c.skip = p.In(1);
  c.norm = p.In(2);
  c.lead = LeadOf(*c.x, c.k[0]);
  c.m = U32(Count(c.lead));
  const Shape shape = WithColumns(c.lead, c.n[0]);
  Check(c.skip->shape == shape, "The residual has shape ", ToString(c.skip->shape),
        ", but what is added to it ", ToString(shape), ".");
  Check(c.norm->count() == c.n[0], "The norm's scale has shape ", ToString(c.norm->shape),
        ", but K = ", c.n[0], ".");
  c.o = WeightAt(p, 3, c.n[0]);
  c.gate = WeightAt(p, 5, c.n[1]);
  c.up = WeightAt(p, 7, c.n[1]);
  c.down = WeightAt(p, 9, c.n[2]);
  c.activate = ActivationCode(p.Attr("activation", "silu"));
  c.eps = p.Attr("epsilon", 0.0f);
  c.sum = p.OutCount() > 1 ? p.Out(1, shape) : nullptr;
  c.y = p.Out(0, WithColumns(c.lead, c.n[2]));
  return c;
}

// --- A dispatch for each step

void RunSteps(Plan& p, const Chain& c) {
  const auto between = [&](uint32_t n) { return p.Scratch(c.x->type, WithColumns(c.lead, n)); };
  const auto product = [&](size_t step, const Tensor* x, NbitsWeight weight, const Tensor* y) {
    NbitsProduct product{c.FormatOf(step)};
    product.x = x;
    product.weight = weight;
    product.weight.y = y;
    product.m = c.m;
    return product;
  };
  const Tensor* attended = between(c.n[0]);
  const Tensor* mid = between(c.n[1]);
  MultiplyNbits(p, product(0, c.x, c.o, attended));
  RunGatedNbits(p, {.first = product(1, attended, c.gate, mid),
                    .more = {c.up},
                    .activate = c.activate,
                    .skip = c.skip,
                    .norm = c.norm,
                    .sum = c.sum,
                    .eps = c.eps});
  MultiplyNbits(p, product(2, mid, c.down, c.y));
}

// --- One dispatch

constexpr uint32_t kThreads = 256;  // of a workgroup
constexpr uint32_t kColumns = 32;   // of a task of the first two steps, which make whole loads of the next x
constexpr uint32_t kDepth = 4;      // loads of a thread on their way, at most

// Tasks of `columns` columns, whose slices of K have `depth` loads on their way.
struct Step {
  uint32_t columns, depth, fetch, tasks;
};

// Words that a task hands on for eight results, behind a head of 64; for two buffers.
uint32_t StateBytes(const Chain& c) { return 4 * (64 + 2 * (c.k[1] + c.k[2]) / 8 * 5); }

Step StepOf(const DeviceInfo& device, const Chain& c, size_t i) {
  const uint32_t runs = c.k[i] / c.load_weights();
  Step step{.columns = kColumns};
  if (i == 2) {
    // Nothing is handed on, so that a task may be smaller; smaller ones still where they are fewer than cores
    // and long.
    step.columns = 16;
    if (c.n[i] / step.columns < FactsOf(device.device_class).cores && runs * step.columns / kThreads >= 8)
      step.columns = 8;
    step.columns = std::bit_floor(std::clamp(Forced("chain_columns", step.columns), 8u, kColumns));
  }
  step.depth = std::min(CeilDiv(runs, kThreads / step.columns), kDepth);
  step.fetch = CeilDiv(c.k[i] / 8, kThreads);
  step.tasks = CeilDiv(c.n[i], step.columns);
  return step;
}

// Of sums: the slices of all columns, with a column to spare so that adding them meets no bank twice.
uint32_t PartOf(const Step (&steps)[3]) {
  uint32_t part = 0;
  for (size_t i = 0; i < 3; ++i)
    part = std::max(part, (i == 1 ? 2 : 1) * kThreads / steps[i].columns * (steps[i].columns + 1));
  return part;
}

uint32_t LongestK(const Chain& c) { return std::max({c.k[0], c.k[1], c.k[2]}); }

// Whether the kernel gives right results where workgroups that have started go on.
bool Fits(const DeviceInfo& device, const Chain& c) {
  if (c.m != 1 || c.x->type != DType::kF16 || (c.format.bits != 4 && c.format.bits != 8)) return false;
  const uint32_t step = std::max({32u, c.format.block, c.load_weights()});
  uint64_t tasks = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (c.k[i] == 0 || c.n[i] == 0 || c.k[i] % step != 0) return false;
    tasks += c.n[i] / 8 + 1;
  }
  uint64_t bindings = 5 + (c.sum != nullptr);  // and x, skip, norm, y, the state
  for (const NbitsWeight* w : {&c.o, &c.gate, &c.up, &c.down}) bindings += device.bindings(w->w->bytes()) + 1;
  const uint32_t units = LongestK(c) / 8;
  const uint32_t bytes = 16 * units + 4 * units + 4 * (2 * kThreads / kColumns * (kColumns + 1) + kThreads);
  return device.f16 && device.subgroups && device.subgroup_min >= 8 && device.max_invocations >= kThreads &&
         bytes <= device.workgroup_bytes && bindings <= device.max_storage_buffers && tasks < 65536;
}

// WebGPU does not promise that a workgroup goes on while others wait for it; NVIDIA's devices do so, and so
// do processors. Apple's do not. On an H100 the chain takes 0.6 (SmolLM2 135M) to 0.9 (Llama 3.2 1B, Phi-4
// mini) of the steps' time.
bool IsChained(const DeviceInfo& device, const Chain& c) {
  return Fits(device, c) && (device.device_class == DeviceClass::kNvidia || IsForced("nbits_chain"));
}

void AddWeights(Dispatch& d, const Chain& c) {
  constexpr const char* kNames[][2] = {
      {"w", "scales"}, {"w1", "scales1"}, {"w2", "scales2"}, {"w3", "scales3"}};
  const NbitsWeight* weights[] = {&c.o, &c.gate, &c.down, &c.up};
  for (size_t i = 0; i < 4; ++i) {
    d.in.push_back({kNames[i][0], weights[i]->w, c.format.load_words(), View::kWords});
    d.in.push_back({kNames[i][1], weights[i]->scales});
  }
}

void AddSteps(Dispatch& d, const Chain& c, const Step (&steps)[3]) {
  constexpr const char* kNames[][4] = {{"COLUMNS0", "WEIGHTS0", "DEPTH0", "FETCH0"},
                                       {"COLUMNS1", "WEIGHTS1", "DEPTH1", "FETCH1"},
                                       {"COLUMNS2", "WEIGHTS2", "DEPTH2", "FETCH2"}};
  constexpr const char* kSizes[][2] = {{"k0", "n0"}, {"k1", "n1"}, {"k2", "n2"}};
  for (size_t i = 0; i < 3; ++i) {
    d.consts.push_back({kNames[i][0], steps[i].columns});
    d.consts.push_back({kNames[i][1], i == 1 ? 2u : 1u});
    d.consts.push_back({kNames[i][2], steps[i].depth});
    d.consts.push_back({kNames[i][3], steps[i].fetch});
    d.params.push_back({kSizes[i][0], c.k[i]});
    d.params.push_back({kSizes[i][1], c.n[i]});
  }
}

void RunChain(Plan& p, const Chain& c) {
  const DeviceInfo& device = p.Device();
  const uint32_t sg = std::min(device.subgroup_min, 32u);
  const Step steps[] = {StepOf(device, c, 0), StepOf(device, c, 1), StepOf(device, c, 2)};
  const uint32_t tasks = steps[0].tasks + steps[1].tasks + steps[2].tasks;
  Dispatch d{
      .shader = "matmul_nbits_chain",
      .consts = {{"WG", kThreads},
                 {"BITS", c.format.bits},
                 {"BLOCK", c.format.block},
                 {"RUN", c.load_weights()},
                 {"UNITS", c.load_weights() / 8},
                 {"UNITS_MAX", LongestK(c) / 8},
                 {"PART", PartOf(steps)},
                 {"SG", sg},
                 {"WHOLE", device.subgroup_size() == sg},
                 {"DIGITS_3", false},
                 {"SUM", c.sum != nullptr},
                 {"LOAD_HOISTED", device.device_class == DeviceClass::kSoftware},
                 {"ACTIVATE", Code{c.activate}}},
      .in = {{"x", c.x, 4}, {"skip", c.skip}, {"norm", c.norm, 4}},
      .out = {{"y", c.y}, {"exchange", p.State(StateBytes(c)), 1, View::kAtomic}},
      .params = {{"tasks0", steps[0].tasks}, {"tasks1", steps[1].tasks}, {"tasks", tasks}, {"eps", c.eps}},
      .grid = {tasks}};
  AddWeights(d, c);
  AddSteps(d, c, steps);
  if (c.sum) d.out.push_back({"sum", c.sum});
  p.Run(d);
}

const Family kFamily("nbits_chain",
                     {"nbits_chain", "nbits_chain,chain_columns=8", "nbits_chain,chain_columns=16",
                      "nbits_chain,chain_columns=32", "nbits_fused"});

void MatMulNBitsChain(Plan& p) {
  const Chain c = ReadChain(p);
  if (c.m == 0) return;
  if (!IsChained(p.Device(), c)) return RunSteps(p, c);
  const ProblemScope scope(p, kFamily, c.x->type,
                           {{"k", c.k[0]},
                            {"n", c.n[0]},
                            {"n1", c.n[1]},
                            {"n2", c.n[2]},
                            {"bits", c.format.bits},
                            {"block", c.format.block}});
  // Whoever asks for a kernel of the steps gets the steps.
  const bool steps = IsForced("nbits_fused") || IsForced("nbits_steps");
  steps ? RunSteps(p, c) : RunChain(p, c);
}

PackedInputs Packed(const Attrs& attrs, std::span<const ValueInfo> in) {
  const std::vector<int64_t> columns = attrs.Ints("N");
  PackedInputs packed;
  NbitsFormat format = FormatOf(attrs);
  for (const auto& [input, step] : {std::pair<size_t, size_t>{3, 0}, {5, 1}, {7, 1}, {9, 2}}) {
    if (step > 0) format.k = U32(columns.at(step - 1));
    AddPackedWeight(packed, in, input, input + 1, in.size(), format, columns.at(step));
  }
  return packed;
}

const Register ops{
    {.domain = kFusedDomain,
     .name = "MatMulNBitsChain",
     .types = "T1: f32 f16",
     .plan = MatMulNBitsChain,
     .packed = Packed},
};

}  // namespace
}  // namespace daybreak
