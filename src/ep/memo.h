// What a node was given and issued in an earlier run: given the same again, it issues the same without a
// plan, which takes the larger part of the CPU's time for a node.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "gpu/device.h"

namespace daybreak {

class Memo {
 public:
  // An input, output or scratch tensor that the plan asked for.
  struct Value {
    bool scratch = false;
    size_t index = 0;  // of the input or output
    bool present = false;
    Tensor tensor;
    std::vector<uint8_t> bytes;  // what the plan may have read on the CPU

    bool Is(const Tensor* given) const;
  };

  // Whether there is something to compare with.
  bool Known() const { return known_; }
  // In a node that is given something new in every run, remembering only takes time: false for a while after
  // some runs that were not the same.
  bool Worthwhile();
  // Forgets, and begins anew.
  void Begin();
  void AddIn(size_t index, const Tensor* tensor);
  // Outputs and scratch tensors in the order in which they were made: then they have the same memory again.
  void AddMade(bool scratch, size_t index, const Tensor& tensor);
  // Nothing is known when the plan did more than dispatch, or a value takes too much to compare.
  void Spoil() { spoiled_ = true; }
  void End() { known_ = !spoiled_; }

  const std::vector<Value>& In() const { return in_; }
  const std::vector<Value>& Made() const { return made_; }
  Issued& Commands() { return issued_; }
  void Hit() { misses_ = 0; }

 private:
  bool known_ = false, spoiled_ = false;
  int misses_ = 0, rest_ = 0;  // runs
  std::vector<Value> in_, made_;
  Issued issued_;
};

}  // namespace daybreak
