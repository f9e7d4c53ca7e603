#include "ep/fuse.h"

#include <algorithm>

#include "ep/fuse_chain.h"
#include "ep/uses.h"

namespace daybreak {
namespace {

constexpr size_t kMostProducts = 3;

// RMS norms: inputs x, [skip], scale.
struct NormOp {
  const char* domain;
  const char* op;
  float eps;  // where the node names none
  bool skip;
};
constexpr NormOp kNorms[] = {
    {"", "SimplifiedLayerNormalization", 1e-5f, false},
    {"", "RMSNormalization", 1e-5f, false},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1e-12f, true},
};

// Operators that are the whole activation of a gate, as the fused kernel calls it.
struct ActivationOp {
  const char* domain;
  const char* op;
  bool (*fits)(const NodeView&);
  const char* activation;
};
constexpr ActivationOp kActivations[] = {
    {"com.microsoft", "QuickGelu", [](const NodeView& n) { return n.Attr("alpha", 1.702f) == 1.0f; }, "silu"},
    {"", "Swish", [](const NodeView& n) { return n.Attr("alpha", 1.0f) == 1.0f; }, "silu"},
    {"com.microsoft", "FastGelu", [](const NodeView& n) { return !n.Has(1); }, "gelu_tanh"},
    {"", "Gelu", [](const NodeView& n) { return n.attrs.String("approximate", "none") == "tanh"; },
     "gelu_tanh"},
};

// x, or the RMS norm of x + skip.
struct Source {
  Value x = nullptr, skip = nullptr, scale = nullptr, sum = nullptr;
  float eps = 0;
  std::vector<size_t> nodes;
};

// A MatMulNBits, with the Add of its bias where that is a node.
struct Product {
  size_t node;
  Value bias = nullptr, y = nullptr;
  int64_t n = 0, bits = 4, block = 32;
  std::vector<size_t> nodes;

  auto format() const { return std::pair(bits, block); }
};

// Two products and what combines them: y = activation(gate) * up.
struct Gate {
  size_t gate, up;  // among the products
  const char* activation;
  Value y;
  std::vector<size_t> nodes;
};

const OpDef* RowOf(const char* domain, const char* op) {
  for (const OpDef& row : Ops())
    if (std::string_view(row.domain) == domain && std::string_view(row.name) == op) return &row;
  return nullptr;
}

bool Is(const NodeView& node, const char* domain, const char* op) {
  return node.op == op && node.domain == domain;
}

void Append(std::vector<size_t>& list, const std::vector<size_t>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

class Finder {
 public:
  explicit Finder(const std::vector<Candidate>& nodes) : nodes_(nodes), uses_(nodes), taken_(nodes.size()) {}

  std::vector<FusedNodes> Find();

 private:
  const NodeView& View(size_t n) const { return nodes_[n].node.view; }
  Value In(size_t n, size_t i) const { return i < View(n).in.size() ? nodes_[n].node.in[i] : nullptr; }
  Value Out(size_t n, size_t i) const { return i < View(n).out.size() ? nodes_[n].node.out[i] : nullptr; }
  bool Free(size_t n) const { return nodes_[n].row && !nodes_[n].on_device && !taken_[n]; }
  bool Given(size_t n, size_t i) const { return In(n, i) == nullptr || uses_.IsGiven(In(n, i)); }
  // The free node that makes `v`, an operator of this name.
  std::optional<size_t> Maker(Value v, const char* domain, const char* op) const;
  // The free node that alone reads `v`, once.
  std::optional<size_t> OnlyReader(Value v) const;

  bool IsProduct(size_t n) const;
  Product WithBias(size_t n) const;
  std::vector<Product> ProductsOf(Value x) const;
  std::optional<size_t> Activated(Value gate, Gate& found) const;
  std::optional<Gate> FindGate(const std::vector<Product>& products) const;
  bool ReadNorm(size_t n, Source& source) const;
  void AddSkip(Source& source) const;
  Source SourceOf(Value x, size_t readers) const;

  void FuseProducts(Value x);
  // Two products of the source's result and what combines them, and the products around them where there is a
  // chain.
  void FuseGated(const Source& source, const Product& first, const Product& up, const Gate& gate);
  void FuseGate(size_t n);
  void FuseSkip(size_t n);
  // Begins a fusion of products; `all` are those that it computes.
  FusedNodes Begin(const char* op, const Source& source, const std::vector<Product>& all) const;
  void Finish(FusedNodes fused);

  const std::vector<Candidate>& nodes_;
  Uses uses_;
  std::vector<bool> taken_;
  std::vector<FusedNodes> found_;
};

std::optional<size_t> Finder::Maker(Value v, const char* domain, const char* op) const {
  const auto n = uses_.Producer(v);
  return n && Free(*n) && Is(View(*n), domain, op) ? n : std::nullopt;
}

std::optional<size_t> Finder::OnlyReader(Value v) const {
  if (!uses_.ReadOnlyBy(v, 1)) return std::nullopt;
  const size_t n = uses_.Readers(v)[0].node;
  return Free(n) ? std::optional(n) : std::nullopt;
}

// All but x is there before the graph runs, so that products of one x can always run together.
bool Finder::IsProduct(size_t n) const {
  if (!Free(n) || !Is(View(n), "com.microsoft", "MatMulNBits")) return false;
  for (size_t i = 1; i < View(n).in.size(); ++i)
    if (!Given(n, i) || In(n, i) == In(n, 0)) return false;
  return true;
}

Product Finder::WithBias(size_t n) const {
  Product product{.node = n,
                  .bias = In(n, 5),
                  .y = Out(n, 0),
                  .n = View(n).Attr("N", 0),
                  .bits = View(n).Attr("bits", 4),
                  .block = View(n).Attr("block_size", 32),
                  .nodes = {n}};
  const auto add = OnlyReader(product.y);
  if (product.bias != nullptr || !add || !Is(View(*add), "", "Add")) return product;
  const size_t side = In(*add, 0) == product.y ? 1 : 0;
  const ValueInfo& bias = View(*add).in[side];
  if (!Given(*add, side) || !bias.has_shape || bias.shape != Shape{product.n}) return product;
  product.bias = In(*add, side);
  product.y = Out(*add, 0);
  product.nodes.push_back(*add);
  return product;
}

std::vector<Product> Finder::ProductsOf(Value x) const {
  std::vector<Product> products;
  for (const Uses::Reader& reader : uses_.Readers(x)) {
    if (reader.input != 0 || !IsProduct(reader.node)) continue;
    const auto k = [&](size_t n) { return View(n).Attr("K", 0); };
    if (!products.empty() && k(reader.node) != k(products[0].node)) continue;  // wrong, as a run will tell
    if (Product product = WithBias(reader.node); uses_.IsRead(product.y)) products.push_back(product);
  }
  return products;
}

// The Mul that reads the activation of `gate`, which nothing else reads.
std::optional<size_t> Finder::Activated(Value gate, Gate& found) const {
  Value result = nullptr;
  if (uses_.ReadOnlyBy(gate, 2)) {  // gate * Sigmoid(gate)
    for (const Uses::Reader& reader : uses_.Readers(gate)) {
      if (!Free(reader.node) || !Is(View(reader.node), "", "Sigmoid")) continue;
      const auto mul = OnlyReader(Out(reader.node, 0));
      if (!mul || !Is(View(*mul), "", "Mul") || (In(*mul, 0) != gate && In(*mul, 1) != gate)) continue;
      found.nodes = {reader.node, *mul};
      found.activation = "silu";
      result = Out(*mul, 0);
    }
  } else if (const auto n = OnlyReader(gate)) {
    for (const ActivationOp& op : kActivations) {
      if (!Is(View(*n), op.domain, op.op) || !op.fits(View(*n))) continue;
      found.nodes = {*n};
      found.activation = op.activation;
      result = Out(*n, 0);
    }
  }
  const auto mul = result != nullptr ? OnlyReader(result) : std::nullopt;
  return mul && Is(View(*mul), "", "Mul") ? mul : std::nullopt;
}

std::optional<Gate> Finder::FindGate(const std::vector<Product>& products) const {
  for (size_t g = 0; g < products.size(); ++g) {
    Gate gate{.gate = g};
    const auto mul = Activated(products[g].y, gate);
    if (!mul) continue;
    for (size_t u = 0; u < products.size(); ++u) {
      if (u == g || OnlyReader(products[u].y) != mul || products[u].n != products[g].n ||
          products[u].format() != products[g].format())
        continue;
      gate.up = u;
      gate.y = Out(*mul, 0);
      if (!uses_.IsRead(gate.y)) continue;
      gate.nodes.push_back(*mul);
      return gate;
    }
  }
  return std::nullopt;
}

// An RMS norm over the last axis of which at most the result and the sum are used.
bool Finder::ReadNorm(size_t n, Source& source) const {
  for (const NormOp& op : kNorms) {
    const NodeView& node = View(n);
    if (!Is(node, op.domain, op.op)) continue;
    const size_t scale = op.skip ? 2 : 1;
    const ValueInfo &x = node.in[0], &s = node.in[scale];
    const int64_t axis = node.Attr("axis", -1);
    const bool last = axis == -1 || (x.has_shape && axis == static_cast<int64_t>(x.shape.size()) - 1);
    if (!last || node.HasOut(1) || node.HasOut(2) || (op.skip && node.Has(3))) return false;
    if (!Given(n, scale) || !s.has_shape || s.shape.size() != 1 || s.shape[0] <= 1 || s.type != x.type)
      return false;
    source = {.x = In(n, 0), .scale = In(n, scale), .eps = node.Attr("epsilon", op.eps), .nodes = {n}};
    if (op.skip) {
      source.skip = In(n, 1);
      if (Out(n, 3) != nullptr && uses_.IsRead(Out(n, 3))) source.sum = Out(n, 3);
    }
    return true;
  }
  return false;
}

// Takes the residual Add in front of the norm.
void Finder::AddSkip(Source& source) const {
  const auto add = Maker(source.x, "", "Add");
  if (source.skip != nullptr || !add || !SameShape(In(*add, 0), In(*add, 1))) return;
  source.sum = uses_.ReadOnlyBy(source.x, 1) ? nullptr : source.x;
  source.x = In(*add, 0);
  source.skip = In(*add, 1);
  source.nodes.push_back(*add);
}

// Where `readers` products that read x get it from: a norm is absorbed when nothing else reads its result.
Source Finder::SourceOf(Value x, size_t readers) const {
  Source source{.x = x};
  const auto norm = uses_.Producer(x);
  if (!norm || !Free(*norm) || !uses_.ReadOnlyBy(x, readers) || !ReadNorm(*norm, source)) return {.x = x};
  AddSkip(source);
  return source;
}

FusedNodes Finder::Begin(const char* op, const Source& source, const std::vector<Product>& all) const {
  const NodeView& first = View(all[0].node);
  FusedNodes fused{.fusion = {.row = RowOf(kFusedDomain, op), .name = first.name}, .nodes = source.nodes};
  Fusion& fusion = fused.fusion;
  for (const Value v : {source.x, source.skip, source.scale}) fusion.AddIn(v);
  std::vector<int64_t> columns, bits, blocks;
  for (const Product& product : all) {
    for (const size_t i : {1, 2, 3}) {
      const Value v = In(product.node, i);
      fusion.AddIn(v, v ? View(product.node).in[i] : ValueInfo{});
    }
    fusion.AddIn(product.bias);
    columns.push_back(product.n);
    bits.push_back(product.bits);
    blocks.push_back(product.block);
    Append(fused.nodes, product.nodes);
  }
  fusion.attrs.Set("N", std::move(columns));
  fusion.attrs.Set("K", first.Attr("K", 0));
  fusion.attrs.Set("bits", std::move(bits));
  fusion.attrs.Set("block_size", std::move(blocks));
  fusion.attrs.Set("epsilon", source.eps);
  return fused;
}

void Finder::Finish(FusedNodes fused) {
  for (const size_t n : fused.nodes) taken_[n] = true;
  found_.push_back(std::move(fused));
}

// A kernel takes neighbours of one format, two weights of one shape after the first.
void SortForKernel(std::vector<Product>& products) {
  std::stable_sort(products.begin(), products.end(), [](const Product& a, const Product& b) {
    return std::pair(a.format(), -a.n) < std::pair(b.format(), -b.n);
  });
  if (products.size() == 3 && products[1].n != products[2].n && products[0].format() == products[2].format())
    std::swap(products[0], products[2]);
}

void Finder::FuseGated(const Source& source, const Product& first, const Product& up, const Gate& gate) {
  FusedNodes fused = Begin("MatMulNBitsGated", source, {first, up});
  Append(fused.nodes, gate.nodes);
  const GatedPair pair{.gate = first.node,
                       .up = up.node,
                       .x = source.x,
                       .skip = source.skip,
                       .scale = source.scale,
                       .sum = source.sum,
                       .eps = source.eps,
                       .activation = gate.activation,
                       .y = gate.y,
                       .nodes = fused.nodes};
  const bool adds_bias = first.nodes.size() + up.nodes.size() > 2;
  const auto is_product = [&](size_t n) { return IsProduct(n); };
  if (auto chain = adds_bias ? std::nullopt : FindChain(nodes_, uses_, is_product, pair)) {
    chain->fusion.row = RowOf(kFusedDomain, "MatMulNBitsChain");
    return Finish(std::move(*chain));
  }
  fused.fusion.attrs.Set("activation", std::string(gate.activation));
  for (const Value v : {gate.y, source.sum}) fused.fusion.AddOut(v);
  Finish(std::move(fused));
}

void Finder::FuseProducts(Value x) {
  std::vector<Product> products = ProductsOf(x);
  if (const auto gate = FindGate(products)) {
    FuseGated(SourceOf(x, 2), products[gate->gate], products[gate->up], *gate);
    std::erase_if(products, [&](const Product& p) { return taken_[p.node]; });
  }
  if (products.empty() || products.size() > kMostProducts) return;
  SortForKernel(products);
  const Source source = SourceOf(x, products.size());
  FusedNodes fused = Begin("MatMulNBitsGroup", source, products);
  if (fused.nodes.size() == 1) return;
  for (size_t i = 0; i < kMostProducts; ++i)
    fused.fusion.AddOut(i < products.size() ? products[i].y : nullptr);
  fused.fusion.AddOut(source.sum);
  Finish(std::move(fused));
}

// An activation and the product with it, where the gate and the other operand are not products of one kernel.
void Finder::FuseGate(size_t n) {
  if (!Free(n) || View(n).in.empty() || View(n).out.size() != 1) return;
  const Value gate = In(n, 0);
  if (TypeOf(gate) != DType::kF32 && TypeOf(gate) != DType::kF16) return;
  Gate found{};
  const auto mul = Activated(gate, found);
  if (!mul || !uses_.IsRead(Out(*mul, 0))) return;
  const Value activated = Out(found.nodes.back(), 0);
  const Value up = In(*mul, 0) == activated ? In(*mul, 1) : In(*mul, 0);
  if (!SameShape(gate, up)) return;
  FusedNodes fused{.fusion = {.row = RowOf(kFusedDomain, "GatedActivation"), .name = View(*mul).name},
                   .nodes = found.nodes};
  fused.nodes.push_back(*mul);
  for (const Value v : {gate, up}) fused.fusion.AddIn(v);
  fused.fusion.attrs.Set("activation", std::string(found.activation));
  fused.fusion.AddOut(Out(*mul, 0));
  Finish(std::move(fused));
}

// The residual Add and the norm after it, which products may not share.
void Finder::FuseSkip(size_t n) {
  Source source;
  if (!Free(n) || !ReadNorm(n, source) || source.skip != nullptr || !uses_.IsRead(Out(n, 0))) return;
  AddSkip(source);
  if (source.skip == nullptr) return;
  FusedNodes fused{
      .fusion = {.row = RowOf("com.microsoft", "SkipSimplifiedLayerNormalization"), .name = View(n).name},
      .nodes = source.nodes};
  for (const Value v : {source.x, source.skip, source.scale}) fused.fusion.AddIn(v);
  for (const Value v : {Out(n, 0), Value{}, Value{}, source.sum}) fused.fusion.AddOut(v);
  fused.fusion.attrs.Set("epsilon", source.eps);
  Finish(std::move(fused));
}

std::vector<FusedNodes> Finder::Find() {
  for (size_t n = 0; n < nodes_.size(); ++n)
    if (IsProduct(n)) FuseProducts(In(n, 0));
  for (size_t n = 0; n < nodes_.size(); ++n) {
    FuseGate(n);
    FuseSkip(n);
  }
  return std::move(found_);
}

}  // namespace

std::vector<FusedNodes> FindFusions(const std::vector<Candidate>& nodes) { return Finder(nodes).Find(); }

Fusion Alone(const Candidate& node) {
  Fusion fusion{.row = node.row,
                .name = node.node.view.name,
                .since = node.node.view.since,
                .attrs = node.node.view.attrs,
                .mirror = true};
  for (size_t i = 0; i < node.node.in.size(); ++i) fusion.AddIn(node.node.in[i], node.node.view.in[i]);
  for (const Value v : node.node.out) fusion.AddOut(v);
  return fusion;
}

}  // namespace daybreak
