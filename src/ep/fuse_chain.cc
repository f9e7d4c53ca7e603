#include "ep/fuse_chain.h"

namespace daybreak {
namespace {

// What a chain asks of each of its products.
class Links {
 public:
  Links(const std::vector<Candidate>& nodes, const Uses& uses, const std::function<bool(size_t)>& is_product,
        const GatedPair& pair)
      : nodes_(nodes), uses_(uses), is_product_(is_product), first_(View(pair.gate)) {}

  const NodeView& View(size_t n) const { return nodes_[n].node.view; }

  bool IsLink(size_t n) const {
    const NodeView& node = View(n);
    for (size_t i = 3; i < node.in.size(); ++i)
      if (node.Has(i)) return false;
    const auto same = [&](const char* name, int64_t initial) {
      return node.Attr(name, initial) == first_.Attr(name, initial);
    };
    return node.in[0].type == DType::kF16 && same("bits", 4) && same("block_size", 32);
  }

  // The product that makes `v` for one reader.
  std::optional<size_t> Maker(Value v) const {
    const auto n = uses_.Producer(v);
    return n && is_product_(*n) && IsLink(*n) && uses_.ReadOnlyBy(v, 1) ? n : std::nullopt;
  }

  // The product of `v` that is its only reader.
  std::optional<size_t> Reader(Value v) const {
    if (!uses_.ReadOnlyBy(v, 1)) return std::nullopt;
    const Uses::Reader& reader = uses_.Readers(v)[0];
    const bool found = reader.input == 0 && is_product_(reader.node) && IsLink(reader.node);
    return found && uses_.IsRead(nodes_[reader.node].node.out[0]) ? std::optional(reader.node) : std::nullopt;
  }

 private:
  const std::vector<Candidate>& nodes_;
  const Uses& uses_;
  const std::function<bool(size_t)>& is_product_;
  const NodeView& first_;
};

}  // namespace

std::optional<FusedNodes> FindChain(const std::vector<Candidate>& nodes, const Uses& uses,
                                    const std::function<bool(size_t)>& is_product, const GatedPair& pair) {
  const Links links(nodes, uses, is_product, pair);
  if (pair.skip == nullptr || !links.IsLink(pair.gate) || !links.IsLink(pair.up)) return std::nullopt;
  Value residual = pair.x;
  auto before = links.Maker(pair.skip);
  if (!before) {
    residual = pair.skip;
    before = links.Maker(pair.x);
  }
  const auto behind = links.Reader(pair.y);
  if (!before || !behind || !SameShape(pair.x, pair.skip)) return std::nullopt;
  const auto number = [&](size_t n, const char* name) { return links.View(n).Attr(name, 0); };
  if (number(*before, "N") != number(pair.gate, "K") || number(pair.gate, "N") != number(*behind, "K"))
    return std::nullopt;  // wrong, as a run will tell

  FusedNodes found{.fusion = {.name = links.View(pair.gate).name}, .nodes = pair.nodes};
  Fusion& fusion = found.fusion;
  found.nodes.insert(found.nodes.end(), {*before, *behind});
  for (const Value v : {nodes[*before].node.in[0], residual, pair.scale}) fusion.AddIn(v);
  for (const size_t n : {*before, pair.gate, pair.up, *behind})
    for (const size_t i : {1, 2}) fusion.AddIn(nodes[n].node.in[i], links.View(n).in[i]);
  for (const Value v : {nodes[*behind].node.out[0], pair.sum}) fusion.AddOut(v);
  fusion.attrs.Set("K", number(*before, "K"));
  fusion.attrs.Set("N", std::vector{number(*before, "N"), number(pair.gate, "N"), number(*behind, "N")});
  fusion.attrs.Set("bits", links.View(pair.gate).Attr("bits", 4));
  fusion.attrs.Set("block_size", links.View(pair.gate).Attr("block_size", 32));
  fusion.attrs.Set("epsilon", pair.eps);
  fusion.attrs.Set("activation", std::string(pair.activation));
  return found;
}

}  // namespace daybreak
