// GPU times of GroupQueryAttention: decode and prefill at the shapes of known models, each against the plain
// kernel.
//   attention_bench [REPEATS [TEXT [FILE]]]     prints one line a shape whose name has TEXT in it:
//   dispatches, microseconds, GB/s or TFLOP/s, largest difference. FILE gets an object of JSON a line, for
//   bench/results.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "core/op.h"
#include "gpu/device.h"

using namespace daybreak;

namespace {

constexpr double kStreamBytesPerUs = 3.03e6;  // that an H100 reads from memory

struct Problem {
  const char* name;
  int64_t heads, kv_heads, head, seq, past, capacity, batch = 1;
  int64_t bits = 0;  // of an element of the caches (option kvCacheQuantizationBits); 0: f16
  int64_t row() const { return bits == 0 ? head : (head * bits + 32) / 16; }  // in elements of f16
};

uint16_t HalfOf(float f) {  // round to nearest of a value in the normal range of f16, or 0
  uint32_t u;
  std::memcpy(&u, &f, 4);
  const uint32_t sign = u >> 16 & 0x8000, rest = (u & 0x7fffffff) + 0x1000;
  const int32_t exponent = static_cast<int32_t>(rest >> 23) - 112;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | exponent << 10 | (rest >> 13 & 0x3ff));
}

float FloatOf(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const float mantissa = static_cast<float>(h & 0x3ff) / 1024;
  const float value = exponent ? std::ldexp(1 + mantissa, exponent - 15) : std::ldexp(mantissa, -14);
  return h & 0x8000 ? -value : value;
}

// A node's plan on a device, its caches shared with its past.
class BenchPlan : public Plan {
 public:
  BenchPlan(daybreak::Device& device, const DeviceInfo& info, const Problem& p)
      : device_(device), info_(info), bits_(p.bits) {
    attrs_.Set("num_heads", p.heads);
    attrs_.Set("kv_num_heads", p.kv_heads);
    attrs_.Set("do_rotary", int64_t{1});
    const DType t = DType::kF16;
    const Shape cache{p.batch, p.kv_heads, p.capacity, p.row()};
    Fill(0, Make(t, {p.batch, p.seq, p.heads * p.head}));
    Fill(1, Make(t, {p.batch, p.seq, p.kv_heads * p.head}));
    Fill(2, Make(t, {p.batch, p.seq, p.kv_heads * p.head}));
    for (const size_t i : {3, 4})
      if (bits_ == 0) {
        Fill(i, Make(t, cache));
      } else {
        in_[i] = Make(t, cache);
        const std::vector<uint16_t> zeros(static_cast<size_t>(in_[i]->count()));
        device_.Upload(zeros.data(), in_[i]->device.address, in_[i]->bytes());
      }
    lengths_.assign(static_cast<size_t>(p.batch), static_cast<int32_t>(p.past + p.seq - 1));
    in_[5] = Make(DType::kI32, {p.batch});
    device_.Upload(lengths_.data(), in_[5]->device.address, in_[5]->bytes());
    total_ = static_cast<int32_t>(p.past + p.seq);
    in_[6] = Make(DType::kI32, {1});
    in_[6]->host = &total_;
    Fill(7, Make(t, {p.past + p.seq, p.head / 2}));
    Fill(8, Make(t, {p.past + p.seq, p.head / 2}));
  }
  ~BenchPlan() override {
    device_.Wait();
    for (Tensor& t : made_) device_.Free(t.device.address);
  }

  const Tensor* In(size_t i) override { return i < 9 ? in_[i] : nullptr; }
  size_t InCount() override { return 9; }
  const Tensor* Out(size_t i, const Shape& shape) override {
    if (i > 0) return i < OutCount() ? in_[2 + i] : nullptr;
    if (!out_) out_ = Make(DType::kF16, shape);
    return out_;
  }
  size_t OutCount() override { return 3; }
  const Tensor* Scratch(DType type, const Shape& shape) override {
    Tensor*& t = scratch_[{type, ToString(shape)}];
    if (!t) t = Make(type, shape);
    return t;
  }
  const Tensor* State(size_t) override { Fail("not used"); }
  bool IsPacked(size_t) override { return false; }
  const Attrs& Attributes() override { return attrs_; }
  const DeviceInfo& Device() override { return info_; }
  int Since() override { return 1; }
  int64_t Option(std::string_view name) override { return name == "kvCacheQuantizationBits" ? bits_ : 0; }
  bool Capturing() override { return false; }
  void Run(const Dispatch& dispatch) override { device_.Issue(dispatch, {"bench", "GroupQueryAttention"}); }
  void Copy(const Tensor*, const Tensor*, size_t, size_t, size_t) override { Fail("not used"); }

  std::vector<uint16_t> Result() {
    std::vector<uint16_t> values(static_cast<size_t>(out_->count()));
    device_.Download(out_->device.address, values.data(), out_->bytes());
    return values;
  }

 private:
  Tensor* Make(DType type, const Shape& shape) {
    made_.push_back({.type = type, .shape = shape});
    Tensor& t = made_.back();
    t.device = {device_.Alloc(t.bytes(), MemoryKind::kTensor), t.bytes()};
    return &t;
  }
  void Fill(size_t i, Tensor* t) {
    std::mt19937 random(static_cast<uint32_t>(i));
    std::normal_distribution<float> normal;
    std::vector<uint16_t> block(4099), values(static_cast<size_t>(t->count()));
    for (uint16_t& v : block) v = HalfOf(normal(random));
    for (size_t k = 0; k < values.size(); ++k) values[k] = block[k % block.size()];
    device_.Upload(values.data(), t->device.address, t->bytes());
    in_[i] = t;
  }

  daybreak::Device& device_;
  DeviceInfo info_;
  int64_t bits_;
  Attrs attrs_;
  std::deque<Tensor> made_;
  Tensor* in_[9] = {};
  Tensor* out_ = nullptr;
  std::map<std::pair<DType, std::string>, Tensor*> scratch_;
  std::vector<int32_t> lengths_;
  int32_t total_ = 0;
};

const OpDef& Row() {
  for (const OpDef& op : Ops())
    if (std::strcmp(op.name, "GroupQueryAttention") == 0) return op;
  Fail("no GroupQueryAttention");
}

// Median microseconds of each dispatch of the plan, in order.
std::vector<std::pair<std::string, double>> Time(Device& device, BenchPlan& plan, int repeats) {
  Timings timings;
  RunContext context{.timings = {&timings}};
  device.SetRunContext(&context);
  for (int i = 0; i < repeats; ++i) Row().plan(plan);  // without a pause, which would let the clock drop
  device.Wait();
  device.SetRunContext(nullptr);
  const auto events = timings.Take();
  const size_t each = events.size() / static_cast<size_t>(repeats);
  std::vector<std::vector<double>> times(each);
  for (size_t k = each * (static_cast<size_t>(repeats) / 4); k < events.size(); ++k)
    times[k % each].push_back(static_cast<double>(events[k].duration_ns) / 1e3);
  std::vector<std::pair<std::string, double>> medians;
  for (size_t k = 0; k < times.size(); ++k) {
    std::sort(times[k].begin(), times[k].end());
    medians.emplace_back(events[k].shader, times[k][times[k].size() / 2]);
  }
  return medians;
}

double Milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Microseconds of a plan, taken in turn, in a busy stream of replays, launch costs included. An idle GPU
// lowers its clock, and takes a while of steady work to raise it again.
double Chain(Device& device, const std::vector<BenchPlan*>& plans, int repeats) {
  RunContext context{.recording = device.NewRecording()};
  device.SetRunContext(&context);
  for (int i = 0; i < repeats; ++i) Row().plan(*plans[static_cast<size_t>(i) % plans.size()]);
  device.SetRunContext(nullptr);
  const auto replay = [&] {
    for (int i = 0; i < 4; ++i) device.Replay(*context.recording, {});
    device.Wait();
  };
  for (const double start = Milliseconds(); Milliseconds() - start < 100;) replay();
  std::vector<double> times;
  for (int i = 0; i < 7; ++i) {
    const double start = Milliseconds();
    replay();
    times.push_back((Milliseconds() - start) * 1000 / (4 * repeats));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// The same with caches that come from memory: as many of them as exceed a GPU's cache, each used once a
// replay. So is each layer's cache in a model, whose weights pass through the GPU's cache between two tokens.
double ColdChain(Device& device, const Problem& p) {
  constexpr int64_t kBytes = 150'000'000;
  const int64_t each = 4 * p.batch * p.kv_heads * p.row() * (p.past + p.seq);
  std::deque<BenchPlan> made;
  std::vector<BenchPlan*> plans;
  for (int64_t i = 0; i < std::clamp<int64_t>(kBytes / each, 2, 250); ++i)
    plans.push_back(&made.emplace_back(device, device.Info(), p));
  return Chain(device, plans, static_cast<int>(plans.size()));
}

// Largest difference of the plan's result from that of the plain kernel; NaN if any is.
double Difference(Device& device, const Problem& p, BenchPlan& plan) {
  DeviceInfo plain_info = device.Info();
  plain_info.subgroups = false;
  plain_info.matrices.clear();
  BenchPlan plain(device, plain_info, p);
  Row().plan(plain);
  device.Wait();
  const auto want = plain.Result(), got = plan.Result();
  double error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = std::abs(FloatOf(want[i]) - FloatOf(got[i]));
    error = d <= error ? error : d;  // a NaN stays
  }
  return error;
}

void Measure(Device& device, const Problem& p, int repeats, std::FILE* json) {
  BenchPlan plan(device, device.Info(), p);
  Row().plan(plan);  // compiles
  device.Wait();
  const double chain = Chain(device, {&plan}, repeats);  // first: it raises the clock
  const auto medians = Time(device, plan, repeats);
  const double error = Difference(device, p, plan);
  double total = 0;
  std::string each;
  std::printf("%-34s", p.name);
  for (const auto& [name, us] : medians) {
    std::printf(" %s %.1f", name.c_str() + (name.starts_with("attention_") ? 10 : 0), us);
    each += (each.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(us);
    total += us;
  }
  const double keys = static_cast<double>(p.past) + (static_cast<double>(p.seq) + 1) / 2;
  const double flops = 4.0 * static_cast<double>(p.batch * p.heads * p.seq * p.head) * keys;
  const double bytes = 4.0 * static_cast<double>(p.batch * p.kv_heads * p.row() * (p.past + p.seq));
  const double cold = p.seq == 1 && !device.Info().software ? ColdChain(device, p) : 0;
  if (cold > 0) std::printf(" cold %.1f", cold);
  std::printf("  total %.1f us, in a chain %.1f us  %.1f TFLOP/s  %.0f GB/s  differs by %.2g\n", total, chain,
              flops / total / 1e6, bytes / chain / 1e3, error);
  std::fflush(stdout);
  if (json)
    std::fprintf(json,
                 "{\"shape\": \"%s\", \"us\": {%s}, \"us_in_a_chain\": %.2f, \"us_cold\": %.2f, "
                 "\"tflops\": %.2f, \"floor_us\": %.2f}\n",
                 p.name, each.c_str(), chain, cold, flops / total / 1e6, bytes / kStreamBytesPerUs);
}

}  // namespace

int main(int argc, char** argv) try {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 100;
  std::FILE* json = argc > 3 ? std::fopen(argv[3], "w") : nullptr;
  WebGpu& gpu = WebGpu::Load();
  const auto device = gpu.Open(0, {});
  std::printf("%s (%s)\n", device->Info().name.c_str(), device->Info().backend.c_str());
  {  // raises the clock
    BenchPlan warm(*device, device->Info(), {"", 32, 32, 64, 2048, 0, 2048});
    for (int i = 0; i < repeats; ++i) Row().plan(warm);
    device->Wait();
  }
  const std::vector<Problem> problems = {
      {"smol135 decode 64", 9, 3, 64, 1, 63, 1024},
      {"smol135 decode 512", 9, 3, 64, 1, 511, 1024},
      {"smol135 decode 2048", 9, 3, 64, 1, 2047, 4096},
      {"smol135 decode 8000", 9, 3, 64, 1, 7999, 8192},
      {"llama1b decode 64", 32, 8, 64, 1, 63, 1024},
      {"llama1b decode 512", 32, 8, 64, 1, 511, 1024},
      {"llama1b decode 2048", 32, 8, 64, 1, 2047, 4096},
      {"llama1b decode 8000", 32, 8, 64, 1, 7999, 8192},
      {"llama1b batch 8, decode 512", 32, 8, 64, 1, 511, 1024, 8},
      {"phi4mini decode 512", 24, 8, 128, 1, 511, 1024},
      {"phi4mini decode 2048", 24, 8, 128, 1, 2047, 4096},
      {"phi4mini decode 8000", 24, 8, 128, 1, 7999, 8192},
      {"llama1b continue 8 at 512", 32, 8, 64, 8, 504, 1024},
      {"smol135 prefill 512", 9, 3, 64, 512, 0, 1024},
      {"llama1b prefill 512", 32, 8, 64, 512, 0, 1024},
      {"phi4mini prefill 512", 24, 8, 128, 512, 0, 1024},
      {"32 heads of 64, prefill 4096", 32, 32, 64, 4096, 0, 4096},
      {"32 heads of 128, prefill 4096", 32, 8, 128, 4096, 0, 4096},
      {"8 heads of 256, prefill 1024", 8, 4, 256, 1024, 0, 1024},
      {"llama1b prefill 512 after 2048", 32, 8, 64, 512, 2048, 4096},
      {"f16 cache, decode 4096", 32, 8, 64, 1, 4095, 8192},
      {"f16 cache, prefill 2048", 32, 8, 64, 2048, 0, 2048},
      {"8-bit cache, decode 512", 32, 8, 64, 1, 511, 1024, 1, 8},
      {"8-bit cache, decode 4096", 32, 8, 64, 1, 4095, 8192, 1, 8},
      {"8-bit cache, decode 8000", 32, 8, 64, 1, 7999, 8192, 1, 8},
      {"8-bit cache, prefill 512", 32, 8, 64, 512, 0, 1024, 1, 8},
      {"8-bit cache, prefill 2048", 32, 8, 64, 2048, 0, 2048, 1, 8},
      {"4-bit cache, decode 512", 32, 8, 64, 1, 511, 1024, 1, 4},
      {"4-bit cache, decode 4096", 32, 8, 64, 1, 4095, 8192, 1, 4},
      {"4-bit cache, decode 8000", 32, 8, 64, 1, 7999, 8192, 1, 4},
      {"4-bit cache, prefill 512", 32, 8, 64, 512, 0, 1024, 1, 4},
      {"4-bit cache, prefill 2048", 32, 8, 64, 2048, 0, 2048, 1, 4},
  };
  for (const Problem& p : problems)
    if (argc < 3 || std::strstr(p.name, argv[2])) Measure(*device, p, repeats, json);
  if (json) std::fclose(json);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "attention_bench: %s\n", e.what());
  return 1;
}
