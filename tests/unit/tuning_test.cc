// What tuning keeps, and how it chooses between variants.
#include "core/tuning.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/variant.h"
#include "gpu/disk_cache.h"
#include "gpu_fixture.h"
#include "shape_plan.h"

namespace daybreak {
namespace {

namespace fs = std::filesystem;

const Family kFamily("numbers", {"even", "odd,step=2"});

struct Number {
  int64_t n;
};
constexpr Variant<Number> kTable[] = {
    {"even", [](const DeviceInfo&, const Number& x) { return x.n % 2 == 0; },
     [](const DeviceInfo&, const Number&) { return true; },
     [](Plan& p, const Number&) { p.Run({.shader = "even"}); }},
    {"odd", [](const DeviceInfo&, const Number&) { return true; },
     [](const DeviceInfo&, const Number&) { return true; },
     [](Plan& p, const Number&) { p.Run({.shader = "odd"}); }},
};

class TunedPlan : public ShapePlan {
 public:
  TunedPlan() : ShapePlan({}) {}
  Tuning* Tuned() override { return &tuning; }
  Tuning tuning;

  // The line of the table that runs for n.
  std::string Line(int64_t n) {
    const ProblemScope scope(*this, kFamily, DType::kF16, {{"n", SizeClass(n)}, {"k", 3}});
    dispatches.clear();
    RunVariant(*this, Number{n}, kTable);
    return dispatches.at(0).shader;
  }
};

TEST(Tuning, LinesOfAResultAreProblemsAndVariants) {
  const auto kept = ParseTuning("a f16 m=1\tx,y=2\t12 us\n\nno tab\n\tno problem\nno variants\t\nb\tz");
  EXPECT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept.at("a f16 m=1"), "x,y=2");
  EXPECT_EQ(kept.at("b"), "z");
  EXPECT_TRUE(ParseTuning("").empty());
  EXPECT_TRUE(ParseTuning("\n").empty());
}

TEST(Tuning, SizesOfAClassShareAProblem) {
  EXPECT_EQ(SizeClass(0), 1);
  EXPECT_EQ(SizeClass(1), 1);
  EXPECT_EQ(SizeClass(5), 8);
  EXPECT_EQ(SizeClass(512), 512);
  EXPECT_EQ(SizeClass(513), 1024);
}

TEST(Tuning, AKeptVariantReplacesThePreferredOneWhereItCanRun) {
  TunedPlan plan;
  EXPECT_EQ(plan.Line(4), "even");
  plan.tuning.kept["numbers f16 n=4 k=3"] = "odd";
  EXPECT_EQ(plan.Line(4), "odd");
  EXPECT_EQ(plan.Line(8), "even") << "another problem";
  plan.tuning.kept["numbers f16 n=4 k=3"] = "even";
  EXPECT_EQ(plan.Line(3), "odd") << "even cannot run 3, which is of the class of 4";
  plan.tuning.kept["numbers f16 n=4 k=3"] = "gone";
  EXPECT_EQ(plan.Line(4), "even");
}

TEST(Tuning, WhatARunWantsGoesBeforeWhatIsKept) {
  TunedPlan plan;
  plan.tuning.kept["numbers f16 n=4 k=3"] = "even";
  plan.tuning.wanted = "other,odd";
  EXPECT_EQ(plan.Line(4), "odd");
  plan.tuning.wanted = "letters:odd";
  EXPECT_EQ(plan.Line(4), "even") << "of another family";
  plan.tuning.wanted = "numbers:odd";
  EXPECT_EQ(plan.Line(4), "odd");
}

TEST(Tuning, NumbersAreAskedForByName) {
  TunedPlan plan;
  plan.tuning.wanted = "step=16,stepping=3,bad=x,minus=-1,empty=";
  EXPECT_EQ(Forced("step", 7), 7u) << "outside of a problem";
  const ProblemScope scope(plan, kFamily, DType::kF32, {});
  EXPECT_EQ(Forced("step", 7), 16u);
  EXPECT_EQ(Forced("stepping", 7), 3u);
  for (const char* name : {"ste", "bad", "minus", "empty", "none"}) EXPECT_EQ(Forced(name, 7), 7u) << name;
  EXPECT_FALSE(IsForced("step"));
}

TEST(Tuning, AProblemInsideAnotherOneIsPartOfIt) {
  TunedPlan plan;
  plan.tuning.noting = true;
  plan.tuning.kept["numbers f32"] = "odd";
  {
    const ProblemScope outer(plan, kFamily, DType::kF32, {});
    EXPECT_EQ(plan.Line(4), "odd");
    EXPECT_EQ(ProblemScope::Current(), &outer);
    EXPECT_EQ(outer.applied(), "odd");
  }
  EXPECT_EQ(ProblemScope::Current(), nullptr);
  EXPECT_EQ(plan.tuning.problems, (std::map<std::string, std::string>{{"numbers f32", "odd"}}));
}

TEST(Tuning, FamiliesHaveNamesOfTheirOwnAndListsThatDiffer) {
  std::set<std::string> names;
  for (const Family* family : Families()) {
    EXPECT_TRUE(names.insert(family->name).second) << family->name;
    const std::set<std::string> lists(family->choices.begin(), family->choices.end());
    EXPECT_EQ(lists.size(), family->choices.size()) << family->name;
  }
  for (const char* name : {"nbits", "nbits_fused", "gemm", "attention", "moe"})
    EXPECT_TRUE(names.contains(name));
}

// On disk, beside the compiled pipelines of a device.
class TuningStore : public GpuTest {
 protected:
  TuningStore() : folder_(fs::path(testing::TempDir()) / ("daybreak_tuning_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
  }
  ~TuningStore() override { fs::remove_all(folder_); }
  void Reopen() {
    device_.reset();
    Open({.cache_dir = folder_.string()});
  }
  // The file of the result, and its bytes.
  std::pair<fs::path, std::string> File() const {
    for (const auto& file : fs::directory_iterator(folder_)) {
      std::ifstream in(file.path(), std::ios::binary);
      std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      if (bytes.find("|tuning of ") != bytes.npos) return {file.path(), bytes};
    }
    return {};
  }

  const fs::path folder_;
};

TEST_F(TuningStore, KeepsAResultForTheDevice) {
  Reopen();
  EXPECT_EQ(device_->LoadTuning(), "");
  device_->StoreTuning("a\tb\n");
  Reopen();
  EXPECT_EQ(device_->LoadTuning(), "a\tb\n");
  device_->StoreTuning("");
  EXPECT_TRUE(ParseTuning(device_->LoadTuning()).empty());
}

TEST_F(TuningStore, IgnoresADamagedFile) {
  Reopen();
  device_->StoreTuning("a\tb\n");
  auto [path, bytes] = File();
  ASSERT_FALSE(bytes.empty());
  bytes[bytes.size() - 2] = 'c';
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_EQ(device_->LoadTuning(), "");
  device_->StoreTuning("a\tb\n");
  EXPECT_EQ(device_->LoadTuning(), "a\tb\n");
}

TEST_F(TuningStore, IgnoresAnotherDeviceAndVersion) {
  Reopen();
  device_->StoreTuning("a\tb\n");
  const auto [path, bytes] = File();
  const size_t start = 32, end = bytes.rfind("a\tb\n");  // of the key: behind the header, before the value
  const std::string key = bytes.substr(start, end - start);
  fs::remove(path);
  const DiskCache cache(folder_.string());
  for (const std::string& other : {key + "1", "x" + key})
    cache.Store(other.data(), other.size(), "a\tb\n", 4);
  EXPECT_EQ(device_->LoadTuning(), "");
  const auto [foreign, whole] = File();
  fs::rename(foreign, path);
  EXPECT_EQ(device_->LoadTuning(), "") << "the key inside counts, not the name of the file";
}

TEST_F(TuningStore, SaysWhereNothingCanBeKept) {
  device_.reset();
  Open({.cache_dir = "off"});
  EXPECT_NE(MessageOf([&] { device_->StoreTuning("a\tb\n"); }).find("is off"), std::string::npos);
  EXPECT_EQ(device_->LoadTuning(), "");
}

}  // namespace
}  // namespace daybreak
