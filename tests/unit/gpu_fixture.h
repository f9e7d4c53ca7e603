// A device for tests, and dispatches over the shaders of tests/unit/shaders.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "gpu/device.h"

namespace daybreak {

// y = |x| * factor, as Scale dispatches it with a FACTOR of 1; another FACTOR makes another shader of it.
inline Dispatch ScaleDispatch(const Tensor& x, const Tensor& y, float factor, float shader = 1) {
  Dispatch d{.shader = "shaders/scale"};
  d.consts = {{"WG", 64u},
              {"RANK", 1u},
              {"FACTOR", shader},
              {"HAS_BIAS", false},
              {"FLIP", false},
              {"acc_t", "f32"},
              {"F", Code{"fn f(v: f32) -> f32 { return abs(v); }"}}};
  d.in = {{"x", &x}};
  d.out = {{"y", &y}};
  d.params = {{"size", static_cast<uint32_t>(y.count())},
              {"factor", factor},
              {"shift", int32_t{0}},
              {"shape", Ints{1}}};
  d.grid = {CeilDiv<int64_t>(y.count(), 64)};
  return d;
}

// Opens the first adapter for each test; the device goes away with the test, so options may differ.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (WebGpu::Load().Adapters().empty()) GTEST_SKIP() << "no WebGPU adapter";
    Open({});
  }
  void Open(const DeviceOptions& options) {
    device_.reset();
    device_ = WebGpu::Load().Open(0, options);
  }

  // Device memory that returns to the pool at the end of the test.
  Tensor Make(DType type, const Shape& shape, MemoryKind kind = MemoryKind::kTensor) {
    Tensor t{.type = type, .shape = shape};
    t.device = {device_->Alloc(t.bytes(), kind), t.bytes()};
    owned_.push_back(t.device.address);
    return t;
  }
  template <class T>
  Tensor Upload(DType type, const std::vector<T>& values) {
    Tensor t = Make(type, {static_cast<int64_t>(values.size() * sizeof(T) * 8 / BitsOf(type))});
    device_->Upload(values.data(), t.device.address, t.bytes());
    return t;
  }
  template <class T>
  std::vector<T> Download(const Tensor& t) {
    std::vector<T> values(t.bytes() / sizeof(T));
    device_->Download(t.device.address, values.data(), t.bytes());
    return values;
  }

  // y = x, bit for bit under View::kRaw.
  void Echo(const Tensor& x, const Tensor& y, View view = View::kRaw) {
    Dispatch d{.shader = "shaders/echo"};
    d.in = {{.name = "x", .tensor = &x, .view = view}};
    d.out = {{.name = "y", .tensor = &y, .view = view}};
    d.params = {{"size", static_cast<uint32_t>(y.count())}};
    d.grid = {CeilDiv<int64_t>(CeilDiv<int64_t>(y.count(), PerThread(d.out[0])), 64)};
    device_->Issue(d, {"echo_node", "Echo"});
  }
  // y = |x| * factor, with `lists` extra lists of parameters (two or more leave the immediates).
  void Scale(const Tensor& x, const Tensor& y, float factor, int lists = 0) {
    Dispatch d = ScaleDispatch(x, y, factor);
    static constexpr const char* kNames[] = {"list0", "list1", "list2"};
    for (int i = 0; i < lists; ++i) d.params.push_back({kNames[i], Ints{1, 2, 3, 4, 5, 6, 7, 8}});
    device_->Issue(d, {"scale_node", "Scale"});
  }

  void TearDown() override {
    if (!device_) return;
    device_->SetRunContext(nullptr);
    for (void* address : owned_) device_->Free(address);
  }

  std::shared_ptr<Device> device_;
  std::vector<void*> owned_;
};

// 1, 2, ..., 251, 0, 1, ...: no period that a size could hide.
inline std::vector<uint8_t> Pattern(size_t bytes, uint32_t seed = 1) {
  std::vector<uint8_t> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>((i * 7 + seed * 13 + i / 251) % 251);
  return out;
}

// The message of the Error that `body` throws; "" when it throws none.
template <class F>
std::string MessageOf(F body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace daybreak
