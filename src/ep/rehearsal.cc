#include "ep/rehearsal.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <deque>

#include "ops/nbits_pack.h"

namespace daybreak {
namespace {

constexpr int64_t kPrompts[] = {512, 128, 32, 8};  // tokens: the longest that the model takes
constexpr int64_t kShort = 100, kLong = 2048;      // prompts for which kernels with a choice take another
constexpr int64_t kCapacity = 1024, kLongCapacity = 4096;  // rows of a KV cache of fixed size
constexpr int64_t kSide = 320;                             // of what is no sequence

// Plans of nodes, 2 to 3 us each, beyond which only the likeliest runs follow.
constexpr size_t kMostPlans = 10'000;

// --- What the names of sizes stand for

enum class Role { kBatch, kSequence, kPast, kTotal, kOther };

bool Has(const std::string& text, const char* part) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::search(text.begin(), text.end(), part, part + std::strlen(part), same) != text.end();
}

bool IsCache(const ModelValue& v) { return v.input && v.shape.size() >= 3 && Has(v.name, "past"); }

Role RoleOf(const ModelValue& v, size_t d, bool cached) {
  const std::string& name = v.shape[d].name;
  if (Has(name, "batch")) return Role::kBatch;
  if (Has(name, "total") || (Has(name, "past") && Has(name, "+"))) return Role::kTotal;
  if (Has(name, "past")) return Role::kPast;
  if (Has(name, "seq") || Has(name, "token")) return Role::kSequence;
  if (d == 0) return Role::kBatch;
  if (IsCache(v)) return Role::kPast;
  if (Has(v.name, "mask") && cached) return Role::kTotal;
  return v.shape.size() <= 3 ? Role::kSequence : Role::kOther;
}

// Masks come last: where they have a size of their own, it is the total.
std::map<std::string, Role> RolesOf(const Model& model, bool cached) {
  std::map<std::string, Role> roles;
  for (const bool masks : {false, true})
    for (const ModelValue& v : model.values)
      for (size_t d = 0; d < v.shape.size(); ++d)
        if (v.input && Has(v.name, "mask") == masks && v.shape[d].size < 0 && !v.shape[d].name.empty())
          roles.emplace(v.shape[d].name, RoleOf(v, d, cached));
  return roles;
}

// The sizes of a run of `tokens` tokens after `before` others, in a cache of `past` rows.
Guess GuessFor(const std::map<std::string, Role>& roles, int64_t tokens, int64_t before, int64_t past) {
  Guess guess{.keys = before + tokens, .in_place = past > before};
  for (const auto& [name, role] : roles) {
    const int64_t sizes[] = {1, tokens, past, before + tokens, kSide};
    guess.sizes[name] = sizes[static_cast<size_t>(role)];
  }
  return guess;
}

// --- Planning

// What is known of a value in one run.
struct Known {
  bool known = false;
  Tensor tensor;               // device.address is an identity
  std::vector<uint8_t> bytes;  // of what a row wrote on the CPU
};

class Rehearsing;

// The plan of one node.
class ShapesPlan final : public Plan {
 public:
  ShapesPlan(Rehearsing& run, const ModelNode& node);

  const Tensor* In(size_t i) override;
  size_t InCount() override { return node_.in.size(); }
  const Tensor* Out(size_t i, const Shape& shape) override;
  size_t OutCount() override { return node_.out.size(); }
  const Tensor* Scratch(DType type, const Shape& shape) override;
  const Tensor* State(size_t bytes) override {
    return Scratch(DType::kU32, {static_cast<int64_t>(bytes / 4)});
  }
  bool IsPacked(size_t i) override { return OrderOf(i) != nullptr; }
  const Attrs& Attributes() override { return *node_.attrs; }
  const DeviceInfo& Device() override;
  Tuning* Tuned() override;
  int Since() override { return node_.since; }
  int64_t Option(std::string_view name) override;
  bool Capturing() override { return false; }
  void Run(const Dispatch& dispatch) override;
  void Copy(const Tensor*, const Tensor*, size_t, size_t, size_t) override {}

 private:
  // nullptr when the row reads input i as it is.
  const PackedOrder* OrderOf(size_t i) const;
  // The memory of an input that output `value` of this shape goes to, or nullptr.
  void* InPlace(const ModelValue& value, const Tensor& tensor);

  Rehearsing& run_;
  const ModelNode& node_;
  std::deque<Tensor> tensors_;  // scratch, and inputs as the CPU reads them
  std::vector<const Tensor*> in_;
  std::vector<int> taken_;  // inputs whose memory an output has
};

class Rehearsing {
 public:
  Rehearsing(const Model& given, const Guess& sizes, const Stage& where)
      : model(given), guess(sizes), stage(where), values(given.values.size()) {
    for (size_t v = 0; v < values.size(); ++v) Assume(v);
  }

  // Gives value `v` the shape that the graph tells, if it tells one.
  void Assume(size_t v) {
    const ModelValue& value = model.values[v];
    if (values[v].known || !value.has_shape || value.shape.size() > kMaxRank) return;
    Shape shape;
    for (const ModelDim& dim : value.shape) {
      const auto named = guess.sizes.find(dim.name);
      if (dim.size < 0 && named == guess.sizes.end()) return;
      shape.push_back(dim.size < 0 ? named->second : dim.size);
    }
    values[v].known = true;
    values[v].tensor = Make(value.type, shape);
  }

  Tensor Make(DType type, const Shape& shape) {
    Tensor tensor{.type = type, .shape = shape};
    next_ += 1 << 16;
    tensor.device = {reinterpret_cast<void*>(next_), tensor.bytes()};
    return tensor;
  }

  const Model& model;
  const Guess& guess;
  const Stage& stage;
  std::vector<Known> values;

 private:
  uintptr_t next_ = 0;
};

ShapesPlan::ShapesPlan(Rehearsing& run, const ModelNode& node)
    : run_(run), node_(node), in_(node.in.size()) {}

const Tensor* ShapesPlan::In(size_t i) {
  if (i >= in_.size() || node_.in[i] < 0) return nullptr;
  if (in_[i] != nullptr) return in_[i];
  const auto v = static_cast<size_t>(node_.in[i]);
  const Known& value = run_.values[v];
  Check(value.known, "Nothing is known of input ", i, ".");
  Tensor& tensor = tensors_.emplace_back(value.tensor);
  tensor.host_out = nullptr;
  if (node_.host_in[i]) {
    tensor.device = {};
    tensor.host = value.bytes.empty() ? run_.model.values[v].data : value.bytes.data();
    const bool number = tensor.type == DType::kI32 || tensor.type == DType::kI64;
    if (tensor.host == nullptr && number && tensor.count() == 1) tensor.host = &run_.guess.keys;
  }
  in_[i] = &tensor;
  if (const PackedOrder* order = OrderOf(i)) {
    const Tensor* packed = Scratch(tensor.type, tensor.shape);
    Run(PackColumns(&tensor, packed, *order, 0, order->columns));
  }
  return &tensor;
}

const PackedOrder* ShapesPlan::OrderOf(size_t i) const {
  const auto* found = std::find_if(node_.packed.begin(), node_.packed.end(),
                                   [&](const PackedInput& input) { return input.input == i; });
  return found == node_.packed.end() ? nullptr : &found->order;
}

void* ShapesPlan::InPlace(const ModelValue& value, const Tensor& tensor) {
  if (!run_.guess.in_place || !value.output) return nullptr;
  for (const int v : node_.in) {
    if (v < 0 || !IsCache(run_.model.values[static_cast<size_t>(v)])) continue;
    const Tensor& in = run_.values[static_cast<size_t>(v)].tensor;
    if (in.type != tensor.type || !(in.shape == tensor.shape)) continue;
    if (std::find(taken_.begin(), taken_.end(), v) != taken_.end()) continue;
    taken_.push_back(v);
    return in.device.address;
  }
  return nullptr;
}

const Tensor* ShapesPlan::Out(size_t i, const Shape& shape) {
  if (i >= node_.out.size() || node_.out[i] < 0) return nullptr;
  const auto v = static_cast<size_t>(node_.out[i]);
  const ModelValue& value = run_.model.values[v];
  Known& known = run_.values[v];
  for (size_t d = 0; value.has_shape && d < value.shape.size(); ++d)
    Check(shape.size() == value.shape.size() && (value.shape[d].size < 0 || value.shape[d].size == shape[d]),
          "Output ", i, " has another shape than the graph says.");
  known.known = true;
  known.tensor = run_.Make(value.type, shape);
  if (node_.host_out[i]) {
    known.bytes.resize(known.tensor.bytes());
    known.tensor.host_out = known.bytes.data();
  } else if (void* address = InPlace(value, known.tensor)) {
    known.tensor.device.address = address;
  }
  return &known.tensor;
}

const Tensor* ShapesPlan::Scratch(DType type, const Shape& shape) {
  tensors_.push_back(run_.Make(type, shape));
  return &tensors_.back();
}

const DeviceInfo& ShapesPlan::Device() { return run_.stage.device; }
Tuning* ShapesPlan::Tuned() { return run_.stage.tuning; }
int64_t ShapesPlan::Option(std::string_view name) { return run_.stage.option(name); }

void ShapesPlan::Run(const Dispatch& dispatch) {
  if (run_.stage.dispatched) run_.stage.dispatched(dispatch);
}

}  // namespace

size_t Rehearse(const Model& model, const Guess& guess, const Stage& stage) {
  Rehearsing run(model, guess, stage);
  size_t failed = 0;
  for (const ModelNode& node : model.nodes) {
    try {
      ShapesPlan plan(run, node);
      node.row->plan(plan);
    } catch (const std::exception&) {
      ++failed;
    }
  }
  return failed;
}

void RehearseFirstRuns(const Model& model, bool capture, const Stage& stage) {
  const bool cached = std::any_of(model.values.begin(), model.values.end(), IsCache);
  const std::map<std::string, Role> roles = RolesOf(model, cached);
  size_t planned = 0;
  const auto run = [&](int64_t tokens, int64_t before, int64_t rows, const Stage& on) {
    planned += model.nodes.size();
    return Rehearse(model, GuessFor(roles, tokens, before, cached ? rows : 0), on);
  };
  int64_t tokens = kPrompts[0];
  size_t fewest = SIZE_MAX;
  const Stage quiet{stage.device, stage.option, {}, stage.tuning};
  for (const int64_t length : kPrompts) {
    if (roles.empty() || fewest == 0 || planned > kMostPlans) break;
    const size_t failed = run(length, 0, kCapacity, quiet);
    if (failed < fewest) tokens = length;
    fewest = std::min(fewest, failed);
  }
  run(tokens, 0, kCapacity, stage);
  if (roles.empty()) return;
  // The prompt may be all that the model takes, so the token is the last of as many.
  if (cached) run(1, tokens - 1, kCapacity, stage);
  if (cached && !capture) run(1, tokens - 1, tokens - 1, stage);
  // Software devices have fewer kernels to choose from, and compile most of them when they are dispatched.
  if (tokens < kPrompts[0] || stage.device.software || planned > kMostPlans) return;
  for (const int64_t length : {kShort, kLong}) run(length, 0, kLongCapacity, stage);
  if (cached) run(1, kLong, kLongCapacity, stage);
}

}  // namespace daybreak
