// The pipeline cache on disk: what it keeps, and what it survives.
#include "gpu/disk_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace daybreak {
namespace {

namespace fs = std::filesystem;

class DiskCacheTest : public testing::Test {
 protected:
  DiskCacheTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("daybreak-cache-") + info->name());
    fs::remove_all(folder_);
  }
  ~DiskCacheTest() override { fs::remove_all(folder_); }

  static void Put(const DiskCache& cache, const std::string& key, const std::string& value) {
    cache.Store(key.data(), key.size(), value.data(), value.size());
  }
  // The value, read in two calls as Dawn does; "" when absent.
  static std::string Read(const DiskCache& cache, const std::string& key) {
    std::string value(cache.Load(key.data(), key.size(), nullptr, 0), '\0');
    if (value.empty()) return value;
    EXPECT_EQ(cache.Load(key.data(), key.size(), value.data(), value.size()), value.size());
    return value;
  }
  fs::path OnlyFile() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
    EXPECT_EQ(files.size(), 1u);
    return files.at(0);
  }

  fs::path folder_;
};

TEST_F(DiskCacheTest, KeepsValuesForTheNextProcess) {
  const std::string binary("a\0b\xff", 4);
  Put(DiskCache(folder_.string()), binary, std::string(100000, 'x'));
  const DiskCache again(folder_.string());
  EXPECT_EQ(Read(again, binary), std::string(100000, 'x'));
  EXPECT_EQ(Read(again, "another key"), "");
  Put(again, binary, "shorter");
  EXPECT_EQ(Read(again, binary), "shorter");
}

TEST_F(DiskCacheTest, RemovesWhatDoesNotVerifyAndStoresItAnew) {
  const DiskCache cache(folder_.string());
  Put(cache, "key", "the value");
  const fs::path file = OnlyFile();
  const auto size = fs::file_size(file);
  for (const uint64_t cut : {uint64_t{0}, uint64_t{5}, size - 1}) {
    fs::resize_file(file, cut);
    EXPECT_EQ(Read(cache, "key"), "") << cut;
    Put(cache, "key", "the value");
    EXPECT_EQ(Read(cache, "key"), "the value");
  }
  for (const uint64_t at : {uint64_t{0}, uint64_t{9}, size - 1}) {  // magic, sizes, value
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(at)).put('\x7e');
    stream.close();
    EXPECT_EQ(Read(cache, "key"), "") << at;
    EXPECT_FALSE(fs::exists(file));
    Put(cache, "key", "the value");
  }
  EXPECT_EQ(Read(cache, "key"), "the value");
}

TEST_F(DiskCacheTest, AFileOfAnotherKeyIsNoHit) {
  const DiskCache cache(folder_.string());
  Put(cache, "one", "value of one");
  const fs::path one = OnlyFile();
  Put(cache, "two", "value of two");
  fs::path two;
  for (const auto& entry : fs::directory_iterator(folder_))
    if (entry.path() != one) two = entry.path();
  fs::copy_file(one, two, fs::copy_options::overwrite_existing);
  EXPECT_EQ(Read(cache, "two"), "");
  EXPECT_EQ(Read(cache, "one"), "value of one");
}

TEST_F(DiskCacheTest, WritersSideBySideLeaveWholeEntries) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      const DiskCache cache(folder_.string());
      for (int i = 0; i < 50; ++i)
        Put(cache, "key" + std::to_string(i % 5), std::string(1000 + i % 5, 'a' + t));
    });
  for (std::thread& t : threads) t.join();
  const DiskCache cache(folder_.string());
  for (int i = 0; i < 5; ++i) {
    const std::string value = Read(cache, "key" + std::to_string(i));
    ASSERT_EQ(value.size(), 1000u + static_cast<size_t>(i));
    EXPECT_EQ(value, std::string(value.size(), value[0]));
  }
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_EQ(entry.path().extension(), ".bin");
}

TEST_F(DiskCacheTest, DropsTheOldestEntriesBeyondItsBound) {
  {
    const DiskCache cache(folder_.string());
    for (int i = 0; i < 10; ++i) {
      Put(cache, "key" + std::to_string(i), std::string(1000, 'x'));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_NE(Read(cache, "key0"), "");  // used last
  }
  const DiskCache cache(folder_.string(), 6000);
  EXPECT_NE(Read(cache, "key0"), "");
  EXPECT_NE(Read(cache, "key9"), "");
  EXPECT_EQ(Read(cache, "key1"), "");
}

TEST_F(DiskCacheTest, RemovesWhatAKilledWriterLeft) {
  Put(DiskCache(folder_.string()), "key", "value");
  const std::string entry = OnlyFile().string();
  const fs::path old = entry + ".1.tmp", young = entry + ".2.tmp", foreign = folder_ / "notes.tmp";
  for (const fs::path& path : {old, young, foreign}) std::ofstream(path) << "half";
  for (const fs::path& path : {old, foreign})
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const DiskCache cache(folder_.string());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));    // perhaps still being written
  EXPECT_TRUE(fs::exists(foreign));  // not the cache's
  EXPECT_EQ(Read(cache, "key"), "value");
}

TEST_F(DiskCacheTest, WorksWithoutAFolder) {
  const DiskCache off("off");
  EXPECT_FALSE(off.Enabled());
  Put(off, "key", "value");
  EXPECT_EQ(Read(off, "key"), "");
  std::ofstream(folder_) << "a file where the folder should be";
  const DiskCache blocked(folder_.string());
  EXPECT_FALSE(blocked.Enabled());
  Put(blocked, "key", "value");
  EXPECT_EQ(Read(blocked, "key"), "");
}

TEST_F(DiskCacheTest, AWriteThatFailsLosesTheEntryOnly) {
  const DiskCache cache(folder_.string());
  Put(cache, "key", "value");
  fs::remove_all(folder_);  // every later write fails
  Put(cache, "other", "value");
  EXPECT_EQ(Read(cache, "other"), "");
  EXPECT_EQ(Read(cache, "key"), "");
}

}  // namespace
}  // namespace daybreak
