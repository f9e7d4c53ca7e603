// The cache on disk survives whatever happens to its files.
#include "gpu/disk_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace daybreak {
namespace {

namespace fs = std::filesystem;

class Cache : public testing::Test {
 protected:
  void SetUp() override {
    static int count = 0;
    folder_ = fs::path(testing::TempDir()) /
              ("daybreak_cache_" + std::to_string(getpid()) + "_" + std::to_string(count++));
  }
  void TearDown() override { fs::remove_all(folder_); }

  DiskCache Open(uint64_t max_bytes = 1 << 20) const { return DiskCache(folder_.string(), max_bytes); }
  static void Store(const DiskCache& cache, const std::string& key, const std::string& value) {
    cache.Store(key.data(), key.size(), value.data(), value.size());
  }
  static std::string Load(const DiskCache& cache, const std::string& key) {
    std::string value(cache.Load(key.data(), key.size(), nullptr, 0), '\0');
    const size_t size = value.empty() ? 0 : cache.Load(key.data(), key.size(), value.data(), value.size());
    EXPECT_EQ(size, value.size());
    return value;
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
    return files;
  }

  fs::path folder_;
};

TEST_F(Cache, KeepsValuesFromOneProcessToTheNext) {
  Store(Open(), "key", "value");
  Store(Open(), "other", std::string("\0binary\0", 8));
  const DiskCache again = Open();
  EXPECT_EQ(Load(again, "key"), "value");
  EXPECT_EQ(Load(again, "other"), std::string("\0binary\0", 8));
  EXPECT_EQ(Load(again, "absent"), "");
  Store(again, "key", "a longer value than before");
  EXPECT_EQ(Load(Open(), "key"), "a longer value than before");
  EXPECT_EQ(Files().size(), 2u) << "nothing temporary is left";
}

TEST_F(Cache, ASmallBufferGetsTheSizeOnly) {
  const DiskCache cache = Open();
  Store(cache, "key", "value");
  char buffer[3] = {'x', 'x', 'x'};
  EXPECT_EQ(cache.Load("key", 3, buffer, sizeof buffer), 5u);
  EXPECT_EQ(buffer[0], 'x');
}

TEST_F(Cache, OffKeepsNothing) {
  const DiskCache cache("off");
  EXPECT_FALSE(cache.Enabled());
  Store(cache, "key", "value");
  EXPECT_EQ(Load(cache, "key"), "");
}

// Every byte of a file changed, and every length of it: the entry is absent, removed, and can be written
// again.
TEST_F(Cache, DamagedFilesAreAbsent) {
  const DiskCache cache = Open();
  Store(cache, "key", "value");
  const fs::path file = Files().at(0);
  std::string whole;
  {
    std::ifstream in(file, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto write = [&](const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; };
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    write(damaged);
    EXPECT_EQ(Load(cache, "key"), "") << "byte " << i;
    EXPECT_FALSE(fs::exists(file)) << "byte " << i;
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    EXPECT_EQ(Load(cache, "key"), "") << "length " << size;
  }
  write(whole + "more");
  EXPECT_EQ(Load(cache, "key"), "");
  Store(cache, "key", "value");
  EXPECT_EQ(Load(cache, "key"), "value");
}

TEST_F(Cache, AFileOfAnotherKeyIsAbsent) {
  const DiskCache cache = Open();
  Store(cache, "a", "value of a");
  const fs::path a = Files().at(0);
  Store(cache, "b", "value of b");
  for (const fs::path& file : Files())
    if (file != a) fs::copy_file(a, file, fs::copy_options::overwrite_existing);
  EXPECT_EQ(Load(cache, "b"), "");
  EXPECT_EQ(Load(cache, "a"), "value of a");
}

TEST_F(Cache, IsBoundedAndKeepsWhatWasUsedLast) {
  const std::string value(1000, 'v');
  {
    const DiskCache cache = Open();
    for (int i = 0; i < 20; ++i) Store(cache, "key" + std::to_string(i), value);
    for (const fs::path& file : Files())
      fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(5));
    EXPECT_EQ(Load(cache, "key3"), value);  // used now
  }
  const DiskCache cache = Open(8000);
  EXPECT_LE(Files().size(), 8u);
  EXPECT_EQ(Load(cache, "key3"), value);
}

TEST_F(Cache, LeavesOtherFilesAlone) {
  fs::create_directories(folder_);
  for (const char* name : {"model.bin", "notes.tmp", "weights.onnx"}) {
    std::ofstream(folder_ / name) << std::string(5000, 'x');
    fs::last_write_time(folder_ / name, fs::file_time_type::clock::now() - std::chrono::hours(50));
  }
  const DiskCache cache = Open(100);
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(Cache, RemovesWhatAKilledProcessLeft) {
  const DiskCache cache = Open();
  Store(cache, "key", "value");
  const fs::path left = Files().at(0).string() + ".77.tmp", fresh = Files().at(0).string() + ".78.tmp";
  std::ofstream(left) << "half an entry";
  std::ofstream(fresh) << "another process writes this now";
  fs::last_write_time(left, fs::file_time_type::clock::now() - std::chrono::hours(2));
  Open();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(fresh));
}

TEST_F(Cache, AFolderThatCannotBeMadeDisablesIt) {
  std::ofstream(folder_.string()) << "a file where the folder should be";
  const DiskCache cache = Open();
  Store(cache, "key", "value");
  EXPECT_EQ(Load(cache, "key"), "");
}

TEST_F(Cache, WritersAtOnceDoNoHarm) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      const DiskCache cache = Open();
      for (int i = 0; i < 50; ++i) {
        const std::string key = "key" + std::to_string(i % 5),
                          value(1000 + i % 5, static_cast<char>('a' + i % 5));
        Store(cache, key, value);
        const std::string got = Load(cache, key);
        wrong[t] += !got.empty() && got != value;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Load(Open(), "key" + std::to_string(i)).size(), 1000u + i);
  EXPECT_EQ(Files().size(), 5u);
}

}  // namespace
}  // namespace daybreak
