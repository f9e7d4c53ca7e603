// Planning a model before it runs: shapes, guesses, and what stops where nothing is known.
#include "ep/rehearsal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "core/error.h"

namespace daybreak {
namespace {

// A model that grows node by node; values are named.
struct Graph {
  Model model;
  std::deque<Attrs> attrs;

  int Place(const std::string& name) {
    for (size_t v = 0; v < model.values.size(); ++v)
      if (model.values[v].name == name) return static_cast<int>(v);
    model.values.push_back({.name = name, .type = DType::kF32});
    return static_cast<int>(model.values.size()) - 1;
  }
  ModelValue& Value(const std::string& name) { return model.values[static_cast<size_t>(Place(name))]; }

  // A value with sizes ("-1" by name) as the graph tells them.
  ModelValue& Shaped(const std::string& name, DType type, const std::vector<ModelDim>& shape) {
    ModelValue& v = Value(name);
    v.type = type;
    v.has_shape = true;
    v.shape = shape;
    return v;
  }
  void Input(const std::string& name, DType type, const std::vector<ModelDim>& shape) {
    Shaped(name, type, shape).input = true;
  }
  template <class T>
  void Constant(const std::string& name, DType type, const std::vector<T>& data) {
    Shaped(name, type, {{static_cast<int64_t>(data.size()), ""}}).data = data.data();
  }

  Attrs& Node(const char* op, const std::vector<std::string>& in, const std::vector<std::string>& out,
              const std::vector<size_t>& host = {}) {
    ModelNode node{.attrs = &attrs.emplace_back()};
    for (const OpDef& row : Ops())
      if (std::string_view(op) == row.name && row.until == kNewest) node.row = &row;
    Check(node.row != nullptr, "no row ", op);
    node.since = std::max(node.row->since, 13);
    for (const std::string& name : in) node.in.push_back(name.empty() ? -1 : Place(name));
    for (const std::string& name : out) node.out.push_back(name.empty() ? -1 : Place(name));
    node.host_in.resize(in.size());
    for (const size_t i : host) node.host_in[i] = true;
    node.host_out.resize(out.size(), *node.row->host_out != '\0');
    model.nodes.push_back(node);
    return attrs.back();
  }
};

struct Seen {
  std::string shader;
  Shape out;
  std::vector<std::string> flags;  // constants that are true
  bool Flag(const char* name) const { return std::find(flags.begin(), flags.end(), name) != flags.end(); }
};

class Rehearsals : public testing::Test {
 protected:
  Rehearsals() {
    info_.f16 = info_.subgroups = true;
    info_.subgroup_min = info_.subgroup_max = 32;
    info_.max_storage_buffers = 16;
    info_.max_invocations = 1024;
    info_.workgroup_bytes = 49152;
    info_.device_class = DeviceClass::kNvidia;
  }
  Stage On() {
    return {info_, [](std::string_view) { return int64_t{0}; },
            [this](const Dispatch& d) {
              Seen seen{d.shader, d.out[0].tensor->shape, {}};
              for (const Const& c : d.consts)
                if (const bool* flag = std::get_if<bool>(&c.value); flag && *flag)
                  seen.flags.emplace_back(c.name);
              seen_.push_back(seen);
            }};
  }
  size_t Run(const Graph& graph, const Guess& guess) { return Rehearse(graph.model, guess, On()); }
  bool Any(const std::string& shader, const char* flag = nullptr) const {
    return std::any_of(seen_.begin(), seen_.end(), [&](const Seen& s) {
      return s.shader == shader && (flag == nullptr || s.Flag(flag));
    });
  }

  DeviceInfo info_;
  std::vector<Seen> seen_;
};

TEST_F(Rehearsals, ShapesPassFromNodeToNode) {
  Graph g;
  g.Input("x", DType::kF32, {{-1, "batch"}, {-1, "rows"}, {24, ""}});
  g.Node("Exp", {"x"}, {"a"});
  g.Node("Transpose", {"a"}, {"b"}).Set("perm", std::vector<int64_t>{0, 2, 1});
  g.Node("Neg", {"b"}, {"y"});
  EXPECT_EQ(Run(g, {.sizes = {{"batch", 2}, {"rows", 7}}}), 0u);
  ASSERT_EQ(seen_.size(), 3u);
  EXPECT_EQ(seen_[0].out, (Shape{2, 7, 24}));
  EXPECT_EQ(seen_[2].out, (Shape{2, 24, 7}));
}

TEST_F(Rehearsals, ShapesThatRowsWriteOnTheCpuAreRead) {
  Graph g;
  g.Input("x", DType::kF32, {{-1, "rows"}, {24, ""}});
  g.Value("s").type = DType::kI64;
  g.Node("Shape", {"x"}, {"s"});
  g.Node("ConstantOfShape", {"s"}, {"y"}, {0});
  EXPECT_EQ(Run(g, {.sizes = {{"rows", 7}}}), 0u);
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].out, (Shape{7, 24}));
}

TEST_F(Rehearsals, TakesWhatTuningKept) {
  Graph g;
  g.Input("a", DType::kF32, {{64, ""}, {32, ""}});
  g.Input("b", DType::kF32, {{32, ""}, {64, ""}});
  g.Node("MatMul", {"a", "b"}, {"y"});
  Tuning tuning;
  for (const char* shader : {"gemm_tile", "gemm_columns"}) {
    tuning.kept["gemm f32 m=64 n=64 k=32 batches=1 a_rows=1 b_rows=1"] = shader;
    Stage stage = On();
    stage.tuning = &tuning;
    seen_.clear();
    EXPECT_EQ(Rehearse(g.model, {}, stage), 0u);
    ASSERT_EQ(seen_.size(), 1u);
    EXPECT_EQ(seen_[0].shader, shader);
  }
}

TEST_F(Rehearsals, ConstantsAreRead) {
  Graph g;
  const std::vector<int64_t> shape{4, -1};
  g.Input("x", DType::kF32, {{24, ""}});
  g.Constant("shape", DType::kI64, shape);
  g.Node("Reshape", {"x", "shape"}, {"a"}, {1});
  g.Node("Neg", {"a"}, {"y"});
  EXPECT_EQ(Run(g, {}), 0u);
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].out, (Shape{4, 6}));
}

TEST_F(Rehearsals, WhatIsNotKnownEndsWhatDependsOnIt) {
  Graph g;
  g.Input("x", DType::kF32, {{24, ""}});
  g.Shaped("shape", DType::kI64, {{2, ""}});  // computed elsewhere
  g.Node("Reshape", {"x", "shape"}, {"a"}, {1});
  g.Node("Neg", {"a"}, {"b"});
  g.Node("Exp", {"x"}, {"y"});
  EXPECT_EQ(Run(g, {}), 2u);
  ASSERT_EQ(seen_.size(), 1u) << "what does not depend on it goes on";
  EXPECT_EQ(seen_[0].out, (Shape{24}));
  seen_.clear();
  g.Shaped("a", DType::kF32, {{4, ""}, {-1, "columns"}});  // the graph knows the shape of what failed
  EXPECT_EQ(Run(g, {.sizes = {{"columns", 6}}}), 1u);
  EXPECT_EQ(seen_.size(), 2u);
}

TEST_F(Rehearsals, ASizeWithoutANameIsNotGuessed) {
  Graph g;
  g.Input("x", DType::kF32, {{-1, ""}, {24, ""}});
  g.Node("Neg", {"x"}, {"y"});
  EXPECT_EQ(Run(g, {}), 1u);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(Rehearsals, WhatContradictsTheGraphIsDropped) {
  Graph g;
  g.Input("x", DType::kF32, {{24, ""}});
  g.Shaped("y", DType::kF32, {{25, ""}});
  g.Node("Neg", {"x"}, {"y"});
  EXPECT_EQ(Run(g, {}), 1u);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(Rehearsals, ASingleNumberIsTheLengthSoFar) {
  Graph g;
  const std::vector<int64_t> zero{0}, one{1};
  g.Constant("zero", DType::kI64, zero);
  g.Constant("one", DType::kI64, one);
  g.Shaped("n", DType::kI64, {});
  g.Value("y").type = DType::kI64;
  g.Node("Range", {"zero", "n", "one"}, {"y"}, {0, 1, 2});
  EXPECT_EQ(Run(g, {.keys = 33}), 0u);
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].out, (Shape{33}));
}

// One layer's attention of a language model, with the names that exporters give; `positions`: of the model.
Graph Decoder(int64_t positions) {
  Graph g;
  const std::vector<ModelDim> cache{{-1, "batch"}, {2, ""}, {-1, "past"}, {64, ""}};
  g.Input("hidden", DType::kF16, {{-1, "batch"}, {-1, "sequence"}, {256, ""}});
  g.Input("kv", DType::kF16, {{-1, "batch"}, {-1, "sequence"}, {128, ""}});
  for (const char* name : {"past_key_values.0.key", "past_key_values.0.value"})
    g.Input(name, DType::kF16, cache);
  g.Input("seqlens_k", DType::kI32, {{-1, "batch"}});
  g.Input("total", DType::kI32, {{1, ""}});
  for (const char* name : {"cos", "sin"}) g.Shaped(name, DType::kF16, {{positions, ""}, {32, ""}});
  for (const char* name : {"present.0.key", "present.0.value"}) {
    g.Value(name).type = DType::kF16;
    g.Value(name).output = true;
  }
  g.Value("y").type = DType::kF16;
  Attrs& attrs = g.Node("GroupQueryAttention",
                        {"hidden", "kv", "kv", "past_key_values.0.key", "past_key_values.0.value",
                         "seqlens_k", "total", "cos", "sin"},
                        {"y", "present.0.key", "present.0.value"}, {6});
  attrs.Set("num_heads", int64_t{4});
  attrs.Set("kv_num_heads", int64_t{2});
  attrs.Set("do_rotary", int64_t{1});
  return g;
}

TEST_F(Rehearsals, ADecoderGetsAPromptAndATokenInBothKindsOfCache) {
  RehearseFirstRuns(Decoder(8192).model, false, On());
  EXPECT_TRUE(Any("attention_append")) << "the prompt";
  ASSERT_TRUE(Any("attention_decode")) << "a token";
  EXPECT_EQ(seen_[0].shader, "attention_append") << "the prompt comes first";
  EXPECT_TRUE(Any("attention_decode", "GROW"));
  EXPECT_TRUE(std::any_of(seen_.begin(), seen_.end(),
                          [](const Seen& s) { return s.shader == "attention_decode" && !s.Flag("GROW"); }));
}

TEST_F(Rehearsals, ACaptureHasNoCacheThatGrows) {
  Graph g = Decoder(8192);
  g.model.nodes[0].host_in[6] = false;  // as in sessions with graph capture
  RehearseFirstRuns(g.model, true, On());
  EXPECT_TRUE(Any("attention_append"));
  EXPECT_TRUE(Any("attention_decode"));
  EXPECT_FALSE(Any("attention_decode", "GROW"));
}

TEST_F(Rehearsals, PromptsFitTheModel) {
  RehearseFirstRuns(Decoder(40).model, false, On());
  ASSERT_FALSE(seen_.empty());
  EXPECT_TRUE(Any("attention_decode"));
  for (const Seen& s : seen_)
    if (s.out.size() == 3) {
      EXPECT_LE(s.out[1], 40) << s.shader;
    }
}

TEST_F(Rehearsals, FixedShapesAreRunOnce) {
  Graph g;
  g.Input("x", DType::kF32, {{1, ""}, {3, ""}, {32, ""}, {32, ""}});
  g.Node("Neg", {"x"}, {"y"});
  RehearseFirstRuns(g.model, false, On());
  EXPECT_EQ(seen_.size(), 1u);
}

}  // namespace
}  // namespace daybreak
