// GPU time of products: MatMul in f16, MatMulNBits and its fused forms, few rows (weight bandwidth) and many
// (matrix rate).
//   matmul_bench [--many | --few] [--json FILE]     (only the shapes of many or of few rows) prints a line a
//   shape: microseconds, GB/s of the bytes that must move, TFLOP/s.
// A recording of many products is replayed without a pause, over copies of the weights that together exceed
// the GPU's cache, so the figure is time a product in a busy stream, launch included.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "core/op.h"
#include "gpu/device.h"

using namespace daybreak;

namespace {

enum class Form : uint8_t { kProduct, kQkv, kMlp };  // kQkv: n columns of q, n / 4 of k and of v

struct Problem {
  int64_t m, n, k, bits, block;  // bits 16: dense f16
  Form form = Form::kProduct;

  // Columns of all weights.
  int64_t columns() const { return form == Form::kMlp ? 2 * n : form == Form::kQkv ? n + n / 2 : n; }
  double weight_bytes() const {
    const double count = static_cast<double>(columns()) * static_cast<double>(k);
    return bits == 16 ? 2 * count
                      : count * static_cast<double>(bits) / 8 + 2 * count / static_cast<double>(block);
  }
};

// One product on the device; the plan of its operator row runs against it.
class Product : public Plan {
 public:
  Product(daybreak::Device& device, const Problem& p) : device_(device) {
    Add(DType::kF16, {p.m, p.k});
    if (p.bits == 16) {
      Add(DType::kF16, {p.k, p.n});
      op_ = "MatMul";
    } else {
      for (const auto& [name, value] : {std::pair{"K", p.k},
                                        {"N", p.n},
                                        {"Nq", p.n},
                                        {"Nkv", p.n / 4},
                                        {"bits", p.bits},
                                        {"block_size", p.block}})
        attrs_.Set(name, value);
      if (p.form != Form::kProduct) {
        Add(DType::kF16, {p.m, p.k});
        Add(DType::kF16, {p.k});
      }
      AddWeights(p, p.n);
      if (p.form == Form::kMlp) {
        in_.push_back(nullptr);  // bias
        AddWeights(p, p.n);
      }
      for (int i = 0; p.form == Form::kQkv && i < 2; ++i) AddWeights(p, p.n / 4);
      constexpr const char* kOps[] = {"MatMulNBits", "MatMulNBitsQkv", "MatMulNBitsMlp"};
      op_ = kOps[static_cast<size_t>(p.form)];
      outputs_ = p.form == Form::kQkv ? 4 : p.form == Form::kMlp ? 2 : 1;
    }
    for (const OpDef& row : Ops())
      if (op_ == row.name) row_ = &row;
  }
  ~Product() override {
    for (Tensor& t : tensors_) device_.Free(t.device.address);
  }
  void Issue() { row_->plan(*this); }
  const char* op() const { return op_.c_str(); }

  const Tensor* In(size_t i) override { return i < in_.size() ? in_[i] : nullptr; }
  size_t InCount() override { return in_.size(); }
  const Tensor* Out(size_t i, const Shape& shape) override {
    if (!out_[i]) out_[i] = Make(DType::kF16, shape);
    return out_[i];
  }
  size_t OutCount() override { return outputs_; }
  const Tensor* Scratch(DType type, const Shape& shape) override { return Make(type, shape); }
  const Tensor* State(size_t) override { Fail("not used"); }
  bool IsPacked(size_t) override { return false; }
  const Attrs& Attributes() override { return attrs_; }
  const DeviceInfo& Device() override { return device_.Info(); }
  int Since() override { return op_ == "MatMul" ? 13 : 1; }
  int64_t Option(std::string_view) override { return 0; }
  bool Capturing() override { return false; }
  void Run(const Dispatch& dispatch) override {
    shader = dispatch.shader;
    device_.Issue(dispatch, {"bench", op_.c_str()});
  }
  void Copy(const Tensor*, const Tensor*, size_t, size_t, size_t) override { Fail("not used"); }

  std::string shader;

 private:
  Tensor* Make(DType type, const Shape& shape) {
    tensors_.push_back({.type = type, .shape = shape});
    Tensor& t = tensors_.back();
    t.device = {device_.Alloc(t.bytes(), MemoryKind::kWeight), t.bytes()};
    return &t;
  }
  void AddWeights(const Problem& p, int64_t n) {
    const int64_t blocks = CeilDiv(p.k, p.block);
    Add(DType::kU8, {n, blocks, p.block * p.bits / 8});
    Add(DType::kF16, {n, blocks});
  }
  // Small random f16 values, or random bytes.
  void Add(DType type, const Shape& shape) {
    static std::mt19937 random(1);
    Tensor* t = Make(type, shape);
    std::vector<uint16_t> values(CeilDiv<size_t>(t->bytes(), 2));
    const size_t drawn = std::min<size_t>(values.size(), 65521);
    for (size_t i = 0; i < drawn; ++i)
      values[i] = static_cast<uint16_t>(type == DType::kF16 ? (random() & 0x83ff) | 0x2800 : random());
    for (size_t i = drawn; i < values.size(); ++i) values[i] = values[i - drawn];
    device_.Upload(values.data(), t->device.address, t->bytes());
    in_.push_back(t);
  }

  daybreak::Device& device_;
  Attrs attrs_;
  std::deque<Tensor> tensors_;
  std::vector<const Tensor*> in_;
  size_t outputs_ = 1;
  Tensor* out_[4] = {};
  std::string op_;
  const OpDef* row_ = nullptr;
};

double Milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Measure(Device& device, const Problem& p, std::FILE* json) {
  const auto copies = static_cast<size_t>(std::clamp(200e6 / p.weight_bytes(), 1.0, 64.0));
  std::deque<Product> products;
  for (size_t i = 0; i < copies; ++i) products.emplace_back(device, p);
  const double flop =
      2.0 * static_cast<double>(p.m) * static_cast<double>(p.columns()) * static_cast<double>(p.k);
  const size_t rounds = static_cast<size_t>(std::clamp(4e11 / flop, 8.0, 400.0));
  RunContext context{.recording = device.NewRecording()};
  for (Product& product : products) product.Issue();  // compiles
  device.Wait();
  device.SetRunContext(&context);
  for (size_t i = 0; i < rounds; ++i) products[i % copies].Issue();
  device.SetRunContext(nullptr);
  // An idle GPU lowers its clock, and takes a while of steady work to raise it again.
  for (const double start = Milliseconds(); Milliseconds() - start < 400;) {
    device.Replay(*context.recording, {});
    device.Wait();
  }
  std::vector<double> times;
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double start = Milliseconds();
    device.Replay(*context.recording, {});
    device.Wait();
    times.push_back((Milliseconds() - start) * 1000 / static_cast<double>(rounds));
  }
  std::sort(times.begin(), times.end());
  const double us = times[times.size() / 2];
  Timings timings;
  device.Replay(*context.recording, {&timings});
  std::vector<int64_t> stamped;
  for (const TimedDispatch& t : timings.Take()) stamped.push_back(t.duration_ns);
  std::sort(stamped.begin(), stamped.end());
  const double gpu_us = stamped.empty() ? 0 : static_cast<double>(stamped[stamped.size() / 2]) / 1e3;
  const double bytes = p.weight_bytes() + 2.0 * static_cast<double>(p.m * (p.n + p.k));
  std::printf(
      "%-14s %-18s m %5ld n %6ld k %5ld bits %2ld block %3ld  %9.2f us (stamps %9.2f)  %7.1f GB/s  %6.1f "
      "TFLOP/s\n",
      products[0].op(), products[0].shader.c_str(), p.m, p.n, p.k, p.bits, p.block, us, gpu_us,
      bytes / us / 1e3, flop / us / 1e6);
  std::fflush(stdout);
  if (json)
    std::fprintf(json,
                 "{\"op\": \"%s\", \"shader\": \"%s\", \"m\": %ld, \"n\": %ld, \"k\": %ld, \"bits\": %ld, "
                 "\"block\": %ld, "
                 "\"us\": %.3f, \"gpu_us\": %.3f}\n",
                 products[0].op(), products[0].shader.c_str(), p.m, p.n, p.k, p.bits, p.block, us, gpu_us);
}

}  // namespace

int main(int argc, char** argv) {
  std::FILE* json = nullptr;
  bool many = true, few = true;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--many") == 0) few = false;
    if (std::strcmp(argv[i], "--few") == 0) many = false;
    if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) json = std::fopen(argv[i + 1], "w");
  }
  const std::shared_ptr<Device> device = WebGpu::Load().Open(0, {});
  std::printf("%s, %s\n", device->Info().name.c_str(), device->Info().driver.c_str());
  for (const Problem& p : std::initializer_list<Problem>{{2048, 4096, 4096, 16, 32},
                                                         {2048, 4096, 4096, 4, 32},
                                                         {2048, 4096, 4096, 8, 32},
                                                         {512, 2048, 2048, 16, 32},
                                                         {512, 2048, 2048, 4, 32},
                                                         {512, 8192, 2048, 4, 32},
                                                         {512, 2048, 8192, 4, 32},
                                                         {512, 1536, 576, 4, 32},
                                                         {1, 2048, 2048, 4, 32},
                                                         {1, 8192, 2048, 4, 32},
                                                         {1, 2048, 8192, 4, 32},
                                                         {1, 4096, 16384, 4, 32},
                                                         {1, 128256, 2048, 8, 32},
                                                         {1, 1536, 576, 4, 32},
                                                         {1, 8192, 3072, 4, 32},
                                                         {1, 8192, 2048, 2, 64},
                                                         {1, 2048, 2048, 4, 32, Form::kQkv},
                                                         {1, 8192, 2048, 4, 32, Form::kMlp},
                                                         {1, 3072, 3072, 4, 32, Form::kQkv},
                                                         {1, 8192, 3072, 4, 32, Form::kMlp},
                                                         {1, 1536, 576, 4, 32, Form::kMlp},
                                                         {2, 8192, 2048, 4, 32},
                                                         {4, 8192, 2048, 4, 32},
                                                         {8, 8192, 2048, 4, 32},
                                                         {2, 2048, 8192, 4, 32},
                                                         {4, 2048, 8192, 4, 32},
                                                         {8, 2048, 8192, 4, 32}})
    if (p.m > 8 ? many : few) Measure(*device, p, json);
  if (json) std::fclose(json);
}
