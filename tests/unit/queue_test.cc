// Dispatches, recordings and timings on a device.
#include <chrono>
#include <cmath>
#include <thread>

#include "gpu_fixture.h"
#include "submit_spy.h"

namespace daybreak {
namespace {

class Queue : public GpuTest {};

TEST_F(Queue, EveryTypeMovesBitForBit) {
  for (int t = 1; t <= static_cast<int>(DType::kU4); ++t) {
    const auto type = static_cast<DType>(t);
    for (const int64_t size : {1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 257, 1000}) {
      Tensor x = Make(type, {size}), y = Make(type, {size});
      std::vector<uint8_t> data = Pattern(x.bytes());
      if (BitsOf(type) == 4 && size % 2 != 0) data.back() &= 0x0f;  // the unused half byte
      device_->Upload(data.data(), x.device.address, data.size());
      Echo(x, y);
      ASSERT_EQ(Download<uint8_t>(y), data) << NameOf(type) << " x " << size;
    }
  }
}

TEST_F(Queue, ValuesOfEveryTypeSurvive) {
  const auto check = [&](DType type, auto values) {
    const Tensor x = Upload(type, values);
    const Tensor y = Make(type, x.shape);
    Echo(x, y, View::kTyped);
    EXPECT_EQ(Download<typename decltype(values)::value_type>(y), values) << NameOf(type);
  };
  check(DType::kF32, std::vector<float>{0, -0.0f, 1.5f, -3e38f, 1e-38f, INFINITY});
  check(DType::kF16,
        std::vector<uint16_t>{0x3c00, 0xbc00, 0x0001, 0x7bff, 0xfc00});  // 1, -1, least, largest, -inf
  check(DType::kBF16, std::vector<uint16_t>{0x3f80, 0xbf80, 0x7f7f, 0xff80, 0x0080});
  check(DType::kI8, std::vector<int8_t>{-128, -1, 0, 1, 127});
  check(DType::kU8, std::vector<uint8_t>{0, 1, 127, 128, 255});
  check(DType::kI16, std::vector<int16_t>{-32768, -1, 0, 32767});
  check(DType::kU16, std::vector<uint16_t>{0, 1, 32768, 65535});
  check(DType::kI32, std::vector<int32_t>{INT32_MIN, -1, 0, INT32_MAX});
  check(DType::kU32, std::vector<uint32_t>{0, 1, 0x80000000, 0xffffffff});
  check(DType::kI64, std::vector<int64_t>{INT64_MIN, -1, 0, int64_t{1} << 40, INT64_MAX});
  check(DType::kBool, std::vector<uint8_t>{0, 1, 1, 0, 1});
  check(DType::kI4, std::vector<uint8_t>{0x87, 0x10, 0xff});
}

TEST_F(Queue, EmptyWorkIsSkipped) {
  const Tensor nothing = Make(DType::kF32, {0}), x = Upload(DType::kF32, std::vector<float>{1, 2}),
               y = Upload(DType::kF32, std::vector<float>{5, 6});
  Echo(x, nothing);
  Dispatch d{.shader = "shaders/broken"};  // would not compile: an empty grid is never looked at
  d.out = {{"y", &y}};
  d.grid = {0};
  device_->Issue(d, {});
  EXPECT_EQ(Download<float>(y), (std::vector<float>{5, 6}));
}

TEST_F(Queue, LongGridsAreFolded) {
  const int64_t size = 65536 * 64 + 100;  // more workgroups than one axis holds
  std::vector<uint32_t> values(static_cast<size_t>(size));
  std::iota(values.begin(), values.end(), 0u);
  const Tensor x = Upload(DType::kU32, values), y = Make(DType::kU32, {size});
  Echo(x, y);
  EXPECT_TRUE(Download<uint32_t>(y) == values);
}

TEST_F(Queue, GridsBeyondTheLimitAreErrors) {
  const Tensor x = Make(DType::kU32, {4}), y = Make(DType::kU32, {4});
  Dispatch d{.shader = "shaders/echo"};
  d.in = {{"x", &x}};
  d.out = {{"y", &y}};
  d.params = {{"size", 4u}};
  d.grid = {2, 70000, 1};
  const std::string message = MessageOf([&] { device_->Issue(d, {"node", "Op"}); });
  EXPECT_NE(message.find("70000"), std::string::npos) << message;
  EXPECT_NE(message.find("shaders/echo"), std::string::npos) << message;
}

TEST_F(Queue, ManyDependentDispatchesRunInOrder) {
  const Tensor a = Upload(DType::kF32, std::vector<float>(100, 1.0f)), b = Make(DType::kF32, {100});
  for (int i = 0; i < 250; ++i) {  // several submits
    Scale(a, b, 1.01f);
    Scale(b, a, 1 / 1.01f);
    if (i % 10 == 9) Scale(a, b, 1.1f), Scale(b, a, 1.0f);
  }
  for (const float v : Download<float>(a)) ASSERT_NEAR(v, std::pow(1.1, 25), 1e-3);
}

TEST_F(Queue, MemoryThatIsGivenBackServesTheCommandsBefore) {
  for (int round = 0; round < 20; ++round) {
    const std::vector<float> values{1.0f + static_cast<float>(round), 2};
    const Tensor x = Upload(DType::kF32, values), y = Make(DType::kF32, x.shape);
    Echo(x, y, View::kTyped);
    std::erase(owned_, x.device.address);
    device_->Free(x.device.address);
    device_->Trim(0);
    EXPECT_EQ(Download<float>(y), values);
  }
}

TEST_F(Queue, LargeParametersReachEveryDispatch) {
  const Tensor x = Upload(DType::kF32, std::vector<float>(10, 1.0f));
  std::vector<Tensor> outputs;
  for (int i = 0; i < 3000; ++i) {  // more than the uniform buffer holds at once
    if (i < 50) outputs.push_back(Make(DType::kF32, {10}));
    Scale(x, outputs[static_cast<size_t>(i) % 50], static_cast<float>(i), 3);
  }
  for (size_t i = 0; i < 50; ++i)
    ASSERT_EQ(Download<float>(outputs[i]), std::vector<float>(10, static_cast<float>(2950 + i)));
}

TEST_F(Queue, ABrokenShaderIsAnErrorAndTheDeviceGoesOn) {
  const Tensor y = Make(DType::kF32, {1});
  Dispatch d{.shader = "shaders/broken"};
  d.out = {{"y", &y}};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::string message = MessageOf([&] {
      device_->Issue(d, {"node", "Op"});  // compiles in the background the first time
      device_->Wait();
    });
    EXPECT_NE(message.find("shaders/broken"), std::string::npos) << message;
    EXPECT_NE(message.find("missing"), std::string::npos) << "the compiler's own words: " << message;
  }
  const Tensor x = Upload(DType::kF32, std::vector<float>{-2});
  Scale(x, y, 3);
  EXPECT_EQ(Download<float>(y), (std::vector<float>{6}));
}

TEST_F(Queue, MistakesInBindingsAreErrors) {
  const Tensor x = Make(DType::kF32, {8}), on_cpu{.type = DType::kF32, .shape = {8}};
  EXPECT_NE(MessageOf([&] { Echo(x, x); }), "") << "one buffer read and written";
  const std::string message = MessageOf([&] { Echo(on_cpu, x); });
  EXPECT_NE(message.find("'x'"), std::string::npos) << message;
  Tensor large = x;
  large.shape = {static_cast<int64_t>(device_->Info().max_binding / 4 + 1)};
  EXPECT_NE(MessageOf([&] { Echo(large, x); }), "");
}

TEST_F(Queue, RecordedCommandsRunWhenReplayedOnly) {
  const Tensor x = Upload(DType::kF32, std::vector<float>{1, 2}),
               y = Upload(DType::kF32, std::vector<float>{0, 0});
  RunContext run{.recording = device_->NewRecording()};
  device_->SetRunContext(&run);
  Scale(x, y, 10);
  EXPECT_NE(MessageOf([&] { Download<float>(y); }), "") << "a read-back cannot be recorded";
  device_->SetRunContext(nullptr);
  EXPECT_EQ(Download<float>(y), (std::vector<float>{0, 0}));
  for (const float v : {1.0f, 7.0f}) {
    const std::vector<float> values{v, -v};
    device_->Upload(values.data(), x.device.address, x.bytes());
    device_->Replay(*run.recording, {});
    EXPECT_EQ(Download<float>(y), (std::vector<float>{10 * v, 10 * v}));
  }
}

TEST_F(Queue, LongRecordingsAreReplayedInSubmitsOfAnySize) {
  constexpr int kPairs = 100;
  const Tensor x = Make(DType::kF32, {100000}), y = Make(DType::kF32, {100000});
  RunContext run{.recording = device_->NewRecording()};
  device_->SetRunContext(&run);
  for (int i = 0; i < kPairs; ++i) {
    Scale(x, y, 2);
    Scale(y, x, i % 2 ? 1 : 0.25f);
  }
  device_->SetRunContext(nullptr);
  const SubmitSpy spy;
  std::vector<int> submits;
  for (int i = 1; i <= 5; ++i) {
    const std::vector<float> values(100000, static_cast<float>(i));
    device_->Upload(values.data(), x.device.address, x.bytes());
    SubmitSpy::Take();
    device_->Replay(*run.recording, {});
    submits.push_back(SubmitSpy::Take());
    device_->Wait();
    EXPECT_EQ(Download<float>(x), values) << i;
  }
  if (device_->Info().software) {
    EXPECT_LT(submits.back(), submits.front()) << "the GPU is the slower one";
  }
}

TEST_F(Queue, IndirectGridsAreReadWhenReplayed) {
  std::vector<uint32_t> values(1024);
  std::iota(values.begin(), values.end(), 1u);
  const Tensor x = Upload(DType::kU32, values), y = Make(DType::kU32, {1024});
  const Tensor grid = Upload(DType::kU32, std::vector<uint32_t>{1, 1, 1});
  Dispatch d{.shader = "shaders/echo"};
  d.in = {{"x", &x}};
  d.out = {{"y", &y}};
  d.params = {{"size", 1024u}};
  d.indirect = &grid;
  RunContext run{.recording = device_->NewRecording()};
  device_->SetRunContext(&run);
  device_->Issue(d, {"node", "Echo"});
  device_->SetRunContext(nullptr);
  const auto group = size_t{64} * PerThread(d.out[0]);
  for (const uint32_t groups : {0u, 3u, 1u, 2u}) {
    const std::vector<uint32_t> counts{groups, 1, 1}, zeros(1024);
    device_->Upload(counts.data(), grid.device.address, grid.bytes());
    device_->Upload(zeros.data(), y.device.address, y.bytes());
    device_->Replay(*run.recording, {});
    std::vector<uint32_t> expected(1024);
    std::copy_n(values.begin(), std::min<size_t>(groups * group, 1024), expected.begin());
    EXPECT_EQ(Download<uint32_t>(y), expected) << groups;
  }
}

TEST_F(Queue, RecordingsKeepTheirMemoryApart) {
  // Scratch that a recording freed may be used again inside that recording, and by nobody else while it
  // lives.
  const Tensor x = Upload(DType::kF32, std::vector<float>(64, 1.0f));
  const Tensor out[2] = {Make(DType::kF32, {64}), Make(DType::kF32, {64})};
  std::vector<RunContext> runs(2);
  std::vector<void*> scratch;
  for (size_t r = 0; r < 2; ++r) {
    runs[r].recording = device_->NewRecording();
    device_->SetRunContext(&runs[r]);
    Tensor t{.type = DType::kF32, .shape = {64}};
    t.device = {device_->Alloc(t.bytes(), MemoryKind::kScratch), t.bytes()};
    Scale(x, t, static_cast<float>(r + 2));
    Scale(t, out[r], 10, 2);
    device_->Free(t.device.address);
    scratch.push_back(t.device.address);
    device_->SetRunContext(nullptr);
  }
  EXPECT_NE(scratch[0], scratch[1]);
  for (int i = 0; i < 10; ++i) {
    void* other = device_->Alloc(256, MemoryKind::kTensor);
    owned_.push_back(other);
    EXPECT_NE(other, scratch[0]);
    EXPECT_NE(other, scratch[1]);
  }
  for (int round = 0; round < 3; ++round)
    for (size_t r = 0; r < 2; ++r) device_->Replay(*runs[r].recording, {});
  EXPECT_EQ(Download<float>(out[0]), std::vector<float>(64, 20.0f));
  EXPECT_EQ(Download<float>(out[1]), std::vector<float>(64, 30.0f));
  runs.clear();
  const uint64_t reserved = device_->Memory().reserved;
  device_->Trim(0);
  EXPECT_LT(device_->Memory().reserved, reserved) << "a released recording gives its memory back";
}

TEST_F(Queue, TimesEveryDispatchOfARun) {
  if (!device_->Info().timestamps) GTEST_SKIP() << "the device has no timestamps";
  const Tensor x = Upload(DType::kF32, std::vector<float>(100000, 1.0f)), y = Make(DType::kF32, {100000});
  Scale(x, y, 1);  // not in the run
  Timings timings;
  RunContext run{.timings = {&timings}};
  device_->SetRunContext(&run);
  for (int i = 0; i < 200; ++i) i % 2 ? Scale(x, y, 1) : Echo(x, y);
  device_->SetRunContext(nullptr);
  Scale(x, y, 1);
  device_->Wait();
  const std::vector<TimedDispatch> events = timings.Take();
  ASSERT_EQ(events.size(), 200u);
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].shader, i % 2 ? "shaders/scale" : "shaders/echo");
    EXPECT_EQ(events[i].node, i % 2 ? "scale_node" : "echo_node");
    EXPECT_EQ(events[i].shapes, "f32[100000] -> f32[100000]");
    EXPECT_GT(events[i].duration_ns, 0);
    if (i > 0) {
      EXPECT_GE(events[i].start_ns, events[i - 1].start_ns);
    }
  }
}

TEST_F(Queue, ReplaysAreTimedToo) {
  if (!device_->Info().timestamps) GTEST_SKIP() << "the device has no timestamps";
  const Tensor x = Upload(DType::kF32, std::vector<float>(1000, 1.0f)), y = Make(DType::kF32, {1000});
  RunContext run{.recording = device_->NewRecording()};
  device_->SetRunContext(&run);
  Scale(x, y, 1);
  Echo(x, y);
  device_->SetRunContext(nullptr);
  Timings timings;
  device_->Replay(*run.recording, {&timings});
  device_->Replay(*run.recording, {});
  const std::vector<TimedDispatch> events = timings.Take();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].op, "Echo");
}

TEST(WebGpuLibrary, ASecondLibraryIsRefused) {
  WebGpu::Load();
  EXPECT_NE(MessageOf([] { WebGpu::Load("/no/such/library.so"); }).find("/no/such/library.so"),
            std::string::npos);
}

TEST(WebGpuLibrary, DescribesItsAdapters) {
  for (const Adapter& a : WebGpu::Load().Adapters()) {
    EXPECT_FALSE(a.info.name.empty());
    EXPECT_GE(a.info.max_binding, 128u << 20);
    EXPECT_GE(a.info.max_invocations, 128u);
    EXPECT_GE(a.info.max_storage_buffers, 8u);
    EXPECT_EQ(a.info.software, a.info.device_class == DeviceClass::kSoftware);
  }
  EXPECT_NE(MessageOf([] { WebGpu::Load().Open(99, {}); }).find("99"), std::string::npos);
}

TEST_F(Queue, OthersWorkWhileAThreadWaits) {
  if (WebGpu::Load().Implementation() != "Dawn")
    GTEST_SKIP() << "other implementations hold threads up themselves";
  using Clock = std::chrono::steady_clock;
  const Tensor x = Make(DType::kF32, {1 << 20}), y = Make(DType::kF32, {1 << 20});
  const Tensor small = Upload(DType::kF32, std::vector<float>{3}), out = Make(DType::kF32, {1});
  Echo(small, out);
  const auto read_after = [&](int dispatches) {
    for (int i = 0; i < dispatches; ++i) Echo(i % 2 ? y : x, i % 2 ? x : y);
    const auto start = Clock::now();
    Download<float>(x);
    return Clock::now() - start;
  };
  int dispatches = 2;
  while (read_after(dispatches) < std::chrono::milliseconds(200)) dispatches *= 2;

  std::atomic<bool> read = false;
  Clock::duration wait{}, longest{};
  std::thread reader([&] {
    wait = read_after(dispatches);
    read = true;
  });
  while (!read) {
    const auto start = Clock::now();
    device_->Free(device_->Alloc(4096, MemoryKind::kScratch));
    longest = std::max(longest, Clock::now() - start);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  reader.join();
  EXPECT_LT(longest, wait / 2) << "the wait kept the other thread out";
}

TEST_F(Queue, ThreadsTransferSideBySide) {
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 6; ++t)  // more than there are staging buffers
    threads.emplace_back([this, t] {
      const std::vector<uint8_t> data = Pattern((20 << 20) + 3, t);
      void* p = device_->Alloc(data.size(), MemoryKind::kTensor);
      std::vector<uint8_t> back(data.size());
      for (int i = 0; i < 3; ++i) {
        device_->Upload(data.data(), p, data.size());
        device_->Download(p, back.data(), back.size());
        EXPECT_EQ(back, data);
      }
      device_->Free(p);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace daybreak
