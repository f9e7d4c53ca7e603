// Planning a model before it runs: the plans of its nodes see the shapes that its first runs are likely to
// have, but no data and no memory, and what they would dispatch is known while the weights are still being
// loaded. Free of ONNX Runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/op.h"

namespace daybreak {

struct ModelDim {
  int64_t size = -1;  // -1: `name` tells which size it is; without a name nothing is known
  std::string name;
};

struct ModelValue {
  std::string name;
  DType type = DType::kUndefined;
  bool has_shape = false;
  std::vector<ModelDim> shape;
  bool input = false, output = false;  // of the graph; constants are no inputs
  const void* data = nullptr;          // of a small constant
};

struct ModelNode {
  const OpDef* row = nullptr;
  int since = 1;
  const Attrs* attrs = nullptr;
  std::vector<int> in, out;    // places among the values; -1: absent
  std::vector<bool> host_in;   // by input: read on the CPU
  std::vector<bool> host_out;  // by output: written on the CPU
  PackedInputs packed;         // inputs that the row reads in packed order; none that follows
};

struct Model {
  std::vector<ModelValue> values;
  std::vector<ModelNode> nodes;  // those with a row, producers before their readers
};

// The sizes of one run.
struct Guess {
  std::map<std::string, int64_t> sizes;  // by name
  int64_t keys = 1;       // what a single number that is read on the CPU, and that nothing tells, is
  bool in_place = false;  // outputs of the graph take the memory of inputs of their node with the same shape
};

// Where plans believe to be.
struct Stage {
  const DeviceInfo& device;
  std::function<int64_t(std::string_view)> option;
  std::function<void(const Dispatch&)> dispatched;  // its tensors are gone when this returns; may be empty
  Tuning* tuning = nullptr;                         // what the session takes variants from
};

// Plans the first runs that are likely, the likeliest first: a long prompt; for a model with a KV cache
// (inputs named past...) one token after it, in a cache of fixed size and, unless `capture` forbids it, in
// one that grows; then lengths for which other kernels are better. Batches are 1.
void RehearseFirstRuns(const Model& model, bool capture, const Stage& stage);

// One run. Plans every node whose input shapes are known; the others, and those that fail, pass on the shapes
// that the graph gives their outputs. Returns the nodes with a row that gave no plan.
size_t Rehearse(const Model& model, const Guess& guess, const Stage& stage);

}  // namespace daybreak
