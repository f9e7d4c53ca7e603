// Reads that are foreseen: they need no submit of their own, and never give old bytes.
#include <atomic>
#include <optional>
#include <thread>

#include "gpu_fixture.h"
#include "submit_spy.h"

namespace daybreak {
namespace {

class ReadAhead : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    if (WebGpu::Load().Implementation() != "Dawn") GTEST_SKIP() << "reads are foreseen with Dawn";
    spy_.emplace();
    x_ = Make(DType::kF32, {300});
    y_ = Make(DType::kF32, {300});
  }

  static std::vector<float> Values(float first) {
    std::vector<float> values(300);
    std::iota(values.begin(), values.end(), first);
    return values;
  }
  void Put(const Tensor& to, float first) {
    const std::vector<float> values = Values(first);
    device_->Upload(values.data(), to.device.address, to.bytes());
  }
  // A run that gives y the values from `first` on.
  void Run(float first) {
    Put(x_, first);
    Echo(x_, y_);
    device_->Flush();
  }
  // Whether y has the values from `first` on; counts what this thread submits to find out.
  bool Reads(float first) {
    SubmitSpy::Take();
    const bool right = Download<float>(y_) == Values(first);
    submits_ = SubmitSpy::Take();
    return right;
  }
  // Runs until reads of y are foreseen.
  void Repeat() {
    for (int i = 0; i < 3; ++i) {
      Run(static_cast<float>(i));
      EXPECT_TRUE(Reads(static_cast<float>(i)));
    }
    EXPECT_EQ(submits_, 0);
  }

  std::optional<SubmitSpy> spy_;
  Tensor x_, y_;
  int submits_ = 0;
};

TEST_F(ReadAhead, WhatIsReadAfterEveryRunIsOnItsWay) {
  for (int i = 0; i < 6; ++i) {
    Run(static_cast<float>(i));
    EXPECT_TRUE(Reads(static_cast<float>(i))) << i;
    EXPECT_EQ(submits_, i < 2 ? 1 : 0) << i;
    if (i % 2 != 0) device_->Wait();
  }
  EXPECT_TRUE(Reads(5)) << "the second time";
  EXPECT_EQ(submits_, 1);
}

TEST_F(ReadAhead, WhatIsNotReadIsForgotten) {
  Repeat();
  Run(10);
  Run(11);
  EXPECT_TRUE(Reads(11));
  EXPECT_EQ(submits_, 1);
}

TEST_F(ReadAhead, CommandsAfterTheRunAreSeen) {
  Repeat();
  Run(10);
  Put(y_, 20);
  EXPECT_TRUE(Reads(20));
  Repeat();
  Run(30);
  Put(x_, 40);
  Echo(x_, y_);
  EXPECT_TRUE(Reads(40));
  Repeat();
  Run(50);
  Put(x_, 60);
  device_->Copy(x_.device.address, y_.device.address, y_.bytes());
  EXPECT_TRUE(Reads(60));
}

TEST_F(ReadAhead, OtherBytesAreReadAsEver) {
  Repeat();
  Run(10);
  std::vector<float> some(100);
  device_->Download(static_cast<char*>(y_.device.address) + 256, some.data(), 400);
  EXPECT_EQ(some.front(), 74);
  EXPECT_EQ(some.back(), 173);
  EXPECT_EQ(Download<float>(x_), Values(10));
  EXPECT_TRUE(Reads(10));
  EXPECT_EQ(submits_, 0);
}

TEST_F(ReadAhead, ReplaysBringTheirResultsAlong) {
  RunContext run{.recording = device_->NewRecording()};
  device_->SetRunContext(&run);
  for (int i = 0; i < 20; ++i) Echo(x_, y_);
  device_->SetRunContext(nullptr);
  for (int i = 0; i < 6; ++i) {
    Put(x_, static_cast<float>(i));
    device_->Replay(*run.recording, {});
    if (i == 4) Put(y_, 100);
    EXPECT_TRUE(Reads(i == 4 ? 100 : static_cast<float>(i))) << i;
    EXPECT_EQ(submits_, i < 2 || i > 3 ? 1 : 0) << i;
  }
}

TEST_F(ReadAhead, MemoryThatIsGivenBackIsLetGo) {
  for (int i = 0; i < 4; ++i) {
    const Tensor y = Make(DType::kF32, {300});
    Put(x_, static_cast<float>(i));
    Echo(x_, y);
    device_->Flush();
    EXPECT_EQ(Download<float>(y), Values(static_cast<float>(i)));
    device_->Free(y.device.address);
    owned_.pop_back();
    device_->Trim(0);
  }
}

TEST_F(ReadAhead, OtherThreadsMayWork) {
  const Tensor z = Make(DType::kF32, {300});
  std::atomic<bool> stop = false;
  std::thread other([&] {
    while (!stop) {
      Put(z, 7);
      device_->Flush();
      EXPECT_EQ(Download<float>(z), Values(7));
    }
  });
  for (int i = 0; i < 200; ++i) {
    Run(static_cast<float>(i));
    EXPECT_TRUE(Reads(static_cast<float>(i))) << i;
  }
  stop = true;
  other.join();
}

}  // namespace
}  // namespace daybreak
