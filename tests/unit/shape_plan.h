// Planning without a device: tests see the dispatches that an operator would issue on any device.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "core/op.h"

namespace daybreak {

// What kernels ask of a GPU like an H100, without matrix units.
inline DeviceInfo NvidiaGpu() {
  DeviceInfo info;
  info.device_class = DeviceClass::kNvidia;
  info.f16 = info.subgroups = info.immediates = true;
  info.subgroup_min = info.subgroup_max = 32;
  info.max_invocations = info.max_workgroup_x = 1024;
  info.workgroup_bytes = 49152;
  info.max_storage_buffers = 16;
  return info;
}

// A plan over shapes: it keeps the dispatches instead of issuing them.
class ShapePlan : public Plan {
 public:
  explicit ShapePlan(DeviceInfo device) : device_(std::move(device)) {}

  std::vector<const Tensor*> inputs;
  Attrs attrs;
  DType out_type = DType::kF16;
  size_t outputs = 1;
  std::map<std::string_view, int64_t> options;
  std::vector<Dispatch> dispatches;

  const Tensor* Add(DType type, const Shape& shape) {
    tensors_.push_back({.type = type, .shape = shape});
    return inputs.emplace_back(&tensors_.back());
  }
  const Tensor* In(size_t i) override { return i < inputs.size() ? inputs[i] : nullptr; }
  size_t InCount() override { return inputs.size(); }
  const Tensor* Out(size_t, const Shape& shape) override { return Scratch(out_type, shape); }
  size_t OutCount() override { return outputs; }
  const Tensor* Scratch(DType type, const Shape& shape) override {
    tensors_.push_back({.type = type, .shape = shape});
    return &tensors_.back();
  }
  const Tensor* State(size_t bytes) override {
    return Scratch(DType::kU32, {static_cast<int64_t>(bytes / 4)});
  }
  bool IsPacked(size_t) override { return false; }
  const Attrs& Attributes() override { return attrs; }
  const DeviceInfo& Device() override { return device_; }
  int Since() override { return 1; }
  int64_t Option(std::string_view name) override { return options.contains(name) ? options[name] : 0; }
  bool Capturing() override { return false; }
  void Run(const Dispatch& dispatch) override { dispatches.push_back(dispatch); }
  void Copy(const Tensor*, const Tensor*, size_t, size_t, size_t) override {}

 private:
  std::deque<Tensor> tensors_;
  DeviceInfo device_;
};

// Runs the plan of the first row of this name.
inline void RunRow(std::string_view name, ShapePlan& plan) {
  for (const OpDef& row : Ops())
    if (name == row.name) return row.plan(plan);
  FAIL() << "no row " << name;
}

}  // namespace daybreak
