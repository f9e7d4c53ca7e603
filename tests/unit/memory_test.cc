// GPU memory and transfers on a device.
#include <random>
#include <set>
#include <thread>

#include "gpu_fixture.h"

namespace daybreak {
namespace {

class Memory : public GpuTest {};

uint64_t InUse(const MemoryStats& s) { return s.in_use[0] + s.in_use[1] + s.in_use[2]; }

TEST_F(Memory, AddressesAreDistinctAlignedAndOwned) {
  std::set<void*> seen;
  for (const size_t bytes : {0u, 0u, 1u, 3u, 255u, 256u, 257u, 70000u, 1u << 20}) {
    void* p = device_->Alloc(bytes, MemoryKind::kTensor);
    owned_.push_back(p);
    EXPECT_TRUE(seen.insert(p).second);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % (64 << 10), 0u);
    EXPECT_TRUE(device_->Owns(p));
  }
  int on_cpu = 0;
  EXPECT_FALSE(device_->Owns(&on_cpu));
  EXPECT_FALSE(device_->Owns(nullptr));
}

TEST_F(Memory, FreedBuffersAreUsedAgain) {
  const MemoryStats before = device_->Memory();
  void* p = device_->Alloc(100000, MemoryKind::kTensor);
  EXPECT_GT(InUse(device_->Memory()), InUse(before));
  device_->Free(p);
  const MemoryStats once = device_->Memory();
  EXPECT_EQ(InUse(once), InUse(before));
  for (int i = 0; i < 100; ++i) device_->Free(device_->Alloc(100000 - i, MemoryKind::kTensor));
  EXPECT_EQ(device_->Memory().allocations, once.allocations) << "close sizes share a size class";
  EXPECT_EQ(device_->Memory().reserved, once.reserved);
  device_->Trim(0);
  EXPECT_EQ(device_->Memory().reserved, before.reserved);
  device_->Free(nullptr);
}

TEST_F(Memory, FreeMemoryIsBounded) {
  std::vector<void*> list;
  for (int i = 0; i < 40; ++i) list.push_back(device_->Alloc(1 << 20, MemoryKind::kTensor));
  const MemoryStats full = device_->Memory();
  for (void* p : list) device_->Free(p);
  // Sizes that never fit the free buffers: what stays free must not grow with every size that was ever used.
  for (size_t i = 1; i <= 60; ++i) device_->Free(device_->Alloc(i << 20, MemoryKind::kTensor));
  EXPECT_LE(device_->Memory().reserved, full.peak * 2 + (128u << 20));
}

TEST_F(Memory, StatsTellKindsApart) {
  const MemoryStats before = device_->Memory();
  Make(DType::kF32, {1000}, MemoryKind::kWeight);
  Make(DType::kF32, {2000}, MemoryKind::kScratch);
  const MemoryStats after = device_->Memory();
  EXPECT_EQ(after.in_use[0], before.in_use[0]);
  EXPECT_GE(after.in_use[1], before.in_use[1] + 4000);
  EXPECT_GE(after.in_use[2], before.in_use[2] + 8000);
  EXPECT_GE(after.peak, InUse(after));
}

TEST_F(Memory, LimitIsAnErrorThatNamesIt) {
  Open({.memory_limit = 4 << 20});
  void* half = device_->Alloc(2 << 20, MemoryKind::kTensor);
  const std::string message = MessageOf([&] { device_->Alloc(3 << 20, MemoryKind::kTensor); });
  EXPECT_NE(message.find("gpuMemoryLimit"), std::string::npos) << message;
  device_->Free(half);
  device_->Free(device_->Alloc(3 << 20, MemoryKind::kTensor));  // free buffers make room
}

TEST_F(Memory, TooLargeATensorIsAnError) {
  const std::string message = MessageOf([&] { device_->Alloc(size_t{1} << 42, MemoryKind::kTensor); });
  EXPECT_NE(message.find("maxBufferSize"), std::string::npos) << message;
}

TEST_F(Memory, AccessesBeyondAnAllocationAreErrors) {
  const Tensor t = Make(DType::kU8, {256});
  std::vector<uint8_t> host(4096);
  EXPECT_NE(MessageOf([&] { device_->Upload(host.data(), t.device.address, 4096); }), "");
  EXPECT_NE(MessageOf([&] { device_->Download(t.device.address, host.data(), 4096); }), "");
  EXPECT_NE(MessageOf([&] { device_->Upload(host.data(), host.data(), 4); }), "") << "not a device address";
}

TEST_F(Memory, EverySizeAndOffsetRoundTrips) {
  const std::vector<uint8_t> background = Pattern(512, 9);
  for (const size_t bytes : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 63u, 255u}) {
    for (const size_t offset : {0u, 1u, 2u, 3u, 4u, 5u, 100u}) {
      const Tensor t = Upload(DType::kU8, background);
      const std::vector<uint8_t> data = Pattern(bytes);
      device_->Upload(data.data(), static_cast<char*>(t.device.address) + offset, bytes);
      std::vector<uint8_t> want = background;
      std::copy(data.begin(), data.end(), want.begin() + static_cast<ptrdiff_t>(offset));
      ASSERT_EQ(Download<uint8_t>(t), want) << bytes << " bytes at " << offset;
      std::vector<uint8_t> back(bytes);
      device_->Download(static_cast<char*>(t.device.address) + offset, back.data(), bytes);
      ASSERT_EQ(back, data) << bytes << " bytes at " << offset;
    }
  }
}

TEST_F(Memory, SizesThatAreNoMultipleOfFourKeepTheirEnd) {
  for (const size_t bytes : {1u, 2u, 3u, 5u, 6u, 7u, 9u, 257u, 4095u}) {
    const std::vector<uint8_t> data = Pattern(bytes);
    EXPECT_EQ(Download<uint8_t>(Upload(DType::kU8, data)), data) << bytes;
  }
}

TEST_F(Memory, LargeTransfersCrossTheStagingChunks) {
  const std::vector<uint8_t> data = Pattern((65 << 20) + 3);  // above the write chunk and the read chunk
  EXPECT_TRUE(Download<uint8_t>(Upload(DType::kU8, data)) == data);
}

TEST_F(Memory, CopiesKeepNeighbours) {
  for (const size_t bytes : {1u, 3u, 4u, 5u, 8u, 64u, 129u}) {
    for (const size_t from : {0u, 1u, 4u, 6u}) {
      for (const size_t to : {0u, 3u, 8u}) {
        const std::vector<uint8_t> source = Pattern(200, 3), background = Pattern(200, 5);
        const Tensor x = Upload(DType::kU8, source), y = Upload(DType::kU8, background);
        device_->Copy(static_cast<char*>(x.device.address) + from, static_cast<char*>(y.device.address) + to,
                      bytes);
        std::vector<uint8_t> want = background;
        std::copy_n(source.begin() + static_cast<ptrdiff_t>(from), bytes,
                    want.begin() + static_cast<ptrdiff_t>(to));
        ASSERT_EQ(Download<uint8_t>(y), want) << bytes << " bytes from " << from << " to " << to;
        ASSERT_EQ(Download<uint8_t>(x), source);
      }
    }
  }
}

TEST_F(Memory, CopyInsideOneBuffer) {
  const std::vector<uint8_t> source = Pattern(200);
  const Tensor x = Upload(DType::kU8, source);
  device_->Copy(x.device.address, static_cast<char*>(x.device.address) + 100, 50);
  std::vector<uint8_t> want = source;
  std::copy_n(source.begin(), 50, want.begin() + 100);
  EXPECT_EQ(Download<uint8_t>(x), want);
}

TEST_F(Memory, UploadsAreOrderedWithDispatches) {
  const Tensor x = Make(DType::kU32, {64}), y = Make(DType::kU32, {64}), z = Make(DType::kU32, {64});
  for (uint32_t round = 0; round < 20; ++round) {
    const std::vector<uint32_t> values(64, round), others(64, round + 1000);
    device_->Upload(values.data(), x.device.address, x.bytes());
    Echo(x, y);
    device_->Upload(others.data(), x.device.address, x.bytes());
    Echo(x, z);
    ASSERT_EQ(Download<uint32_t>(y), values);
    ASSERT_EQ(Download<uint32_t>(z), others);
  }
}

TEST_F(Memory, ThreadsShareTheDevice) {
  std::vector<std::thread> threads;
  std::vector<std::string> errors(4);
  for (size_t t = 0; t < errors.size(); ++t)
    threads.emplace_back([&, t] {
      errors[t] = MessageOf([&] {
        for (uint32_t i = 0; i < 30; ++i) {
          const std::vector<uint8_t> data = Pattern(1000 + i, static_cast<uint32_t>(t) * 100 + i);
          void* p = device_->Alloc(data.size(), MemoryKind::kTensor);
          void* q = device_->Alloc(data.size(), MemoryKind::kTensor);
          device_->Upload(data.data(), p, data.size());
          device_->Copy(p, q, data.size());
          std::vector<uint8_t> back(data.size());
          device_->Download(q, back.data(), back.size());
          device_->Free(p);
          device_->Free(q);
          Check(back == data, "thread ", t, " round ", i, " read other data");
        }
      });
    });
  for (auto& thread : threads) thread.join();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

}  // namespace
}  // namespace daybreak
