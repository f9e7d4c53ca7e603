// MoE and QMoE: each token's best experts, their two products, and the weighted sum. All of it stays on the
// device; grids are sized for the worst case, and workgroups without work return.
#include "ops/moe.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/variant.h"

namespace daybreak {
namespace {

constexpr const char* kIdentity = "fn activate(v: f32) -> f32 { return v; }";

struct Activation {
  const char* name;
  const char* functions;
};

#define ACTIVATION(expression)                      \
  "fn activate(v: f32) -> f32 { return " expression \
  "; }\n"                                           \
  "fn gate(v: f32, up: f32) -> f32 { return activate(v) * up; }"

// gelu is the tanh form: 0.5 v (1 + tanh z) = v / (1 + exp(-2 z)) with z = sqrt(2 / pi) (v + 0.044715 v^3).
constexpr Activation kActivations[] = {
    {"relu", ACTIVATION("max(v, 0.0)")},
    {"gelu", ACTIVATION("v / (1.0 + exp(-1.5957691216 * (v + 0.044715 * v * v * v)))")},
    {"silu", ACTIVATION("v / (1.0 + exp(-v))")},
    {"identity", ACTIVATION("v")},
    {"swiglu",
     "fn gate(v: f32, up: f32) -> f32 {\n"
     "  let g = min(v, params.limit);\n"
     "  return g / (1.0 + exp(-params.alpha * g)) * (clamp(up, -params.limit, params.limit) + params.beta);\n"
     "}"},
};

const Activation* ActivationOf(const std::string& name) {
  for (const Activation& a : kActivations)
    if (name == a.name) return &a;
  return nullptr;
}

// Input numbers of a projection: weights, scales, zero points, bias. -1: the operator has none.
struct Places {
  int w, scales, zeros, bias;
  const char* bits;  // attribute that replaces expert_weight_bits
};
constexpr Places kMoE[] = {{2, -1, -1, 3, ""}, {4, -1, -1, 5, ""}, {6, -1, -1, 7, ""}};
constexpr Places kQMoE[] = {{2, 3, 11, 4, "fc1_expert_weight_bits"},
                            {5, 6, 12, 7, "fc2_expert_weight_bits"},
                            {8, 9, 13, 10, "fc3_expert_weight_bits"}};
constexpr size_t kRouterWeights = 14, kFirstGlobalScale = 15, kInputs = 21;  // of QMoE

// A node, after its inputs and attributes are read.
struct Mixture {
  const Tensor *x = nullptr, *router = nullptr, *router_weights = nullptr, *y = nullptr;
  bool quantised = false;
  uint32_t hidden = 0, inter = 0;
  ExpertProduct fc1, fc2;
  Routes routes;
};

void CheckShape(const char* what, const Tensor* t, const Shape& want) {
  if (t) Check(t->shape == want, what, " has shape ", ToString(t->shape), "; expected ", ToString(want), ".");
}

void CheckMatrix(const char* name, const ExpertMatrix& m, const ExpertProduct& q, uint32_t experts) {
  const int64_t rows = q.rows(), blocks = q.blocks();
  const int64_t row = q.bits <= 8 ? CeilDiv<int64_t>(int64_t{q.k} * q.bits, 8) : q.k;
  CheckShape(name, m.w, {experts, rows, row});
  CheckShape("A bias of experts", m.bias, {experts, rows});
  if (m.scales)
    Check(m.scales->count() == experts * rows * blocks, "Scales of ", name, " have shape ",
          ToString(m.scales->shape), "; expected [", experts, ",", rows, ",", blocks, "].");
  if (m.zeros == nullptr) return;
  if (m.zeros->shape.size() == 2 && blocks == 1)
    CheckShape("Zero points of a row each", m.zeros, {experts, CeilDiv<int64_t>(rows * q.bits, 8)});
  else
    CheckShape("Zero points", m.zeros, {experts, rows, CeilDiv<int64_t>(blocks * q.bits, 8)});
}

ExpertMatrix MatrixAt(Plan& p, const Places& at) {
  const auto in = [&](int i) { return i < 0 ? nullptr : p.In(static_cast<size_t>(i)); };
  return {.w = in(at.w), .scales = in(at.scales), .zeros = in(at.zeros), .bias = in(at.bias)};
}

uint32_t BitsAt(Plan& p, const Places& at, bool quantised) {
  if (!quantised) return static_cast<uint32_t>(BitsOf(p.In(0)->type));
  return U32(p.Attr(at.bits, p.Attr("expert_weight_bits", 4)));
}

Gate GateOf(bool swiglu, int64_t fusion, bool fc3) {
  if (fc3) return Gate::kSecond;
  if (!swiglu) return Gate::kNone;
  return fusion == 2 ? Gate::kHalves : Gate::kInterleaved;
}

Mixture Read(Plan& p, bool quantised) {
  const Places* at = quantised ? kQMoE : kMoE;
  const std::string name = p.Attr("activation_type", "relu");
  const bool swiglu = name == "swiglu";
  Mixture q{.x = p.In(0), .router = p.In(1), .quantised = quantised};
  if (quantised) q.router_weights = p.In(kRouterWeights);
  Check(q.x->shape.size() >= 2 && q.router->shape.size() == 2 &&
            p.In(static_cast<size_t>(at[0].w))->shape.size() == 3,
        "Input 0 has shape ", ToString(q.x->shape), ", router_probs ", ToString(q.router->shape),
        "; expected tokens of two or three dimensions and [tokens, experts].");
  q.hidden = U32(q.x->shape.back());
  q.routes.tokens = U32(Count(q.x->shape, 0, q.x->shape.size() - 1));
  q.routes.count = U32(q.router->shape[1]);
  q.routes.top = U32(p.Attr("k", 1));
  Check(q.routes.top >= 1 && q.routes.top <= q.routes.count, "k is ", q.routes.top, ", with ", q.routes.count,
        " experts.");
  CheckShape("router_probs", q.router, {q.routes.tokens, q.routes.count});
  CheckShape("router_weights", q.router_weights, {q.routes.tokens, q.routes.count});
  const int64_t block = std::max<int64_t>(quantised ? p.Attr("block_size", 0) : 0, 0);
  q.fc1 = {.x = q.x,
           .first = MatrixAt(p, at[0]),
           .second = MatrixAt(p, at[2]),
           .k = q.hidden,
           .bits = BitsAt(p, at[0], quantised),
           .block = U32(block),
           .share = q.routes.top,
           .functions = ActivationOf(name)->functions,
           .swiglu = swiglu,
           .alpha = p.Attr("activation_alpha", 1.0f),
           .beta = p.Attr("activation_beta", 0.0f),
           .limit = p.Attr("swiglu_limit", std::numeric_limits<float>::max())};
  q.fc1.limit = std::min(q.fc1.limit, std::numeric_limits<float>::max());
  q.fc1.gate = GateOf(swiglu, p.Attr("swiglu_fusion", 0), q.fc1.second.w != nullptr);
  q.inter = q.fc1.n = U32(q.fc1.first.w->shape[1]) / (q.fc1.fused() ? 2 : 1);
  q.fc2 = {.first = MatrixAt(p, at[1]),
           .k = q.inter,
           .n = q.hidden,
           .bits = BitsAt(p, at[1], quantised),
           .block = U32(block),
           .functions = kIdentity};
  CheckMatrix("fc1_experts_weights", q.fc1.first, q.fc1, q.routes.count);
  CheckMatrix("fc3_experts_weights", q.fc1.second, q.fc1, q.routes.count);
  CheckMatrix("fc2_experts_weights", q.fc2.first, q.fc2, q.routes.count);
  q.y = p.Out(0, q.x->shape);
  return q;
}

// QMoE takes the softmax of the chosen logits, MoE that of all; router_weights replace both. ONNX Runtime
// leaves out experts of QMoE whose share is at most 1e-8.
void Route(Plan& p, Mixture& q) {
  const bool normalise = p.Attr("normalize_routing_weights", 0) == 1;
  const bool weights = q.router_weights != nullptr;
  q.routes.experts = p.Scratch(DType::kU32, {q.routes.tokens, q.routes.top});
  q.routes.shares = p.Scratch(DType::kF32, {q.routes.tokens, q.routes.top});
  Dispatch d{
      .shader = "moe_route",
      .consts = {{"WEIGHTS", weights},
                 {"ALL", !q.quantised && !normalise},
                 {"NORMALISE", !weights || normalise}},
      .in = {{"router", q.router}},
      .out = {{"experts", q.routes.experts}, {"shares", q.routes.shares}},
      .params = {{"experts", q.routes.count}, {"top", q.routes.top}, {"least", q.quantised ? 1e-8f : 0.0f}},
      .grid = {q.routes.tokens}};
  if (weights) d.in.push_back({"weights", q.router_weights});
  p.Run(d);
}

void Few(Plan& p, const Mixture& q) {
  ExpertProduct fc1 = q.fc1, fc2 = q.fc2;
  fc1.y = fc2.x = p.Scratch(DType::kF32, {int64_t{q.routes.tokens} * q.routes.top, q.inter});
  fc2.y = q.y;
  MultiplySlots(p, fc1, q.routes, false);
  MultiplySlots(p, fc2, q.routes, true);
}

// Tokens whose intermediate values stay within what one binding holds, and within 64 MiB.
uint32_t TokensAtOnce(const DeviceInfo& device, const Mixture& q) {
  const uint64_t bytes = std::min<uint64_t>(device.max_binding, 64u << 20);
  const uint64_t token = uint64_t{4} * q.routes.top * std::max({q.inter, q.hidden, 1u});
  return static_cast<uint32_t>(std::clamp<uint64_t>(bytes / token, 1, std::max(q.routes.tokens, 1u)));
}

// `rows`: slots of a tile, as `multiply` takes them.
void RunTiles(Plan& p, const Mixture& q, decltype(MultiplyTiles)* multiply, uint32_t rows) {
  const uint32_t most = TokensAtOnce(p.Device(), q);
  const int64_t slots = int64_t{most} * q.routes.top;
  ExpertProduct fc1 = q.fc1, fc2 = q.fc2;
  fc1.y = fc2.x = p.Scratch(DType::kF32, {slots, q.inter});
  fc2.y = p.Scratch(DType::kF32, {slots, q.hidden});
  for (uint32_t first = 0; first < q.routes.tokens; first += most) {
    const uint32_t tokens = std::min(most, q.routes.tokens - first);
    const bool peaks = multiply == MultiplyTilesOnMatrixUnits;
    const SlotTiles tiles = SortSlots(p, q.routes, first, tokens, rows, peaks);
    multiply(p, fc1, tiles, true);
    multiply(p, fc2, tiles, false);
    p.Run({.shader = "moe_combine",
           .in = {{"parts", fc2.y}, {"shares", q.routes.shares}},
           .out = {{"y", q.y}},
           .params = {{"size", U32(int64_t{tokens} * q.hidden)},
                      {"row", q.hidden},
                      {"top", q.routes.top},
                      {"first", tiles.first}},
           .grid = {CeilDiv(int64_t{tokens} * q.hidden, int64_t{64})}});
  }
}

void Rows(Plan& p, const Mixture& q) { RunTiles(p, q, MultiplyFewRows, kFewRows); }
void Tile(Plan& p, const Mixture& q) { RunTiles(p, q, MultiplyTiles, kTileRows); }
void Matrix(Plan& p, const Mixture& q) { RunTiles(p, q, MultiplyTilesOnMatrixUnits, kTileRows); }

bool FitsMatrix(const DeviceInfo& device, const Mixture& q) {
  return q.x->type == DType::kF16 && FitsMatrixUnits(device, q.fc1) && FitsMatrixUnits(device, q.fc2);
}

constexpr auto kAlways = [](const DeviceInfo&, const Mixture&) { return true; };

// Up to three tokens rarely share an expert; integer products are so much faster that up to eight need not.
// Large tiles multiply rows that they do not have, at a rate that makes up for it when an expert has about
// eight slots on matrix units, 32 without; on a processor never. The classes of GPUs differ in nothing else
// here.
constexpr Variant<Mixture> kVariants[] = {
    {"moe_few", [](const DeviceInfo& d, const Mixture& q) { return q.routes.tokens <= TokensAtOnce(d, q); },
     [](const DeviceInfo& d, const Mixture& q) {
       return q.routes.tokens <= (CanMultiplyInIntegers(d, q.fc1) ? 8u : 3u);
     },
     Few},
    {"moe_rows", kAlways,
     [](const DeviceInfo& d, const Mixture& q) {
       const int64_t slots = int64_t{q.routes.tokens} * q.routes.top;
       return slots <= (FitsMatrix(d, q) ? 8 : 32) * int64_t{q.routes.count} ||
              d.device_class == DeviceClass::kSoftware;
     },
     Rows},
    {"moe_matrix", FitsMatrix, kAlways, Matrix},
    {"moe_tile", kAlways, kAlways, Tile},
};

const Family kFamily("moe", {"moe_few,moe_dot", "moe_few,moe_team", "moe_rows", "moe_rows,moe_team",
                             "moe_matrix", "moe_tile"});

template <bool kQuantised>
void Mix(Plan& p) {
  Mixture q = Read(p, kQuantised);
  if (q.y->count() == 0) return;
  const ProblemScope scope(p, kFamily, q.x->type,
                           {{"m", SizeClass(q.routes.tokens)},
                            {"top", q.routes.top},
                            {"experts", q.routes.count},
                            {"hidden", q.hidden},
                            {"inter", q.inter},
                            {"bits", q.fc1.bits}});
  Route(p, q);
  RunVariant(p, q, kVariants);
}

// The weights as older models store them: [experts][k][rows]. `bits2`: of a weight of fc2, 0 for floats.
bool IsLegacy(const NodeView& n, const Places* at, bool fused, int64_t bits2) {
  const Shape &x = n.in[0].shape, &w1 = n.in[static_cast<size_t>(at[0].w)].shape,
              &w2 = n.in[static_cast<size_t>(at[1].w)].shape;
  if (x.empty() || w1.size() != 3 || w2.size() != 3 || x.back() < 0 || w1[1] < 0 || w2[1] < 0) return false;
  const int64_t inter = bits2 == 0 ? w2[2] : w2[2] * 8 / bits2;
  return w2[1] != x.back() || (fused && inter == x.back() && w1[1] == x.back());
}

std::string DeclinesBoth(const NodeView& n, const Places* at, int64_t bits2) {
  const std::string name = n.attrs.String("activation_type", "relu");
  const bool swiglu = name == "swiglu", fc3 = n.Has(static_cast<size_t>(at[2].w));
  const int64_t fusion = n.Attr("swiglu_fusion", 0);
  if (ActivationOf(name) == nullptr) return "activation_type is " + name;
  if (n.Attr("use_sparse_mixer", 0) != 0)
    return "use_sparse_mixer is set, which ONNX Runtime does not define";
  if (swiglu && !fc3 && fusion != 1 && fusion != 2)
    return Join("swiglu_fusion is ", fusion, " without fc3; fused SwiGLU is 1 or 2");
  if (swiglu && fc3 && fusion != 0) return "swiglu_fusion and fc3 are both given";
  if (IsLegacy(n, at, swiglu && !fc3, bits2)) return "the weights are in the legacy order [experts][k][rows]";
  const ValueInfo& router = n.in[1];
  if (router.has_shape && router.shape.size() == 2 && router.shape[1] > 4096)
    return Join(router.shape[1], " experts; kernels take up to 4096");
  return "";
}

std::string DeclinesMoE(const NodeView& n) { return DeclinesBoth(n, kMoE, 0); }

std::string DeclinesQMoE(const NodeView& n) {
  if (n.attrs.String("quant_type", "int") != "int")
    return "quant_type is " + n.attrs.String("quant_type", "int");
  if (n.Attr("weights_prepacked", -1) == 1)
    return "weights_prepacked is 1; only raw weights have an order that is defined";
  for (size_t i = kFirstGlobalScale; i < kInputs; ++i)
    if (n.Has(i)) return Join("input ", i, " belongs to other quant_types than int");
  const int64_t bits = n.Attr("expert_weight_bits", 4);
  for (const Places& at : kQMoE) {
    const int64_t own = n.Attr(at.bits, bits);
    if (own != 2 && own != 4 && own != 8)
      return Join("weights of ", own, " bits; kernels exist for 2, 4 and 8");
    if (n.Has(static_cast<size_t>(at.w)) && !n.Has(static_cast<size_t>(at.scales)))
      return Join("input ", at.scales, " (scales) is absent");
  }
  if (n.Has(8) && n.Attr(kQMoE[0].bits, bits) != n.Attr(kQMoE[2].bits, bits))
    return "fc1 and fc3 differ in bits";
  if (n.Has(8) && n.device != nullptr && n.device->max_storage_buffers < 12)
    return "fc3 needs up to 12 storage buffers";
  const int64_t block = n.Attr("block_size", 0);
  if (block > 0 && (block < 16 || (block & (block - 1)) != 0))
    return Join("block_size is ", block, "; kernels take powers of two from 16");
  return DeclinesBoth(n, kQMoE, n.Attr(kQMoE[1].bits, bits));
}

const Register ops{
    {.domain = "com.microsoft",
     .name = "MoE",
     .until = 1,
     .types = "T: f32 f16",
     .plan = Mix<false>,
     .declines = DeclinesMoE},
    {.domain = "com.microsoft",
     .name = "QMoE",
     .until = 1,
     .types = "T: f32 f16; T1: u8; T2: f32 f16",
     .plan = Mix<true>,
     .declines = DeclinesQMoE},
};

}  // namespace
}  // namespace daybreak
