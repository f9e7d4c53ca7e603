// Pipelines that earlier processes needed for a model.
#include "gpu/recipe.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gpu_fixture.h"

namespace daybreak {
namespace {

namespace fs = std::filesystem;

class Recipes : public GpuTest {
 protected:
  Recipes() : folder_(fs::path(testing::TempDir()) / ("daybreak_recipes_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
  }
  ~Recipes() override { fs::remove_all(folder_); }
  void Reopen() { Open({.cache_dir = folder_.string()}); }
  size_t Files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  // A run of model 7 with one dispatch.
  void RunModel() {
    RunContext run{.model = 7};
    device_->SetRunContext(&run);
    const Tensor x = Upload(DType::kF32, std::vector<float>{1, -2}), y = Make(DType::kF32, x.shape);
    Echo(x, y);
    EXPECT_EQ(Download<float>(y), (std::vector<float>{1, -2}));
    device_->SetRunContext(nullptr);
    device_->Free(x.device.address);
    device_->Free(y.device.address);
    owned_.clear();
    device_->Remember(7);
  }

  const fs::path folder_;
};

TEST_F(Recipes, SurviveTheDisk) {
  const DiskCache cache(folder_.string());
  const Recipe a{"one", "text of one", "rrw", 12, false}, b{"two", std::string("a\0b", 3), "", 300, true};
  StoreRecipes(cache, "key", {&a, &b});
  const std::vector<Recipe> got = LoadRecipes(cache, "key");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].shader, "one");
  EXPECT_EQ(got[0].bindings, "rrw");
  EXPECT_EQ(got[1].text, b.text);
  EXPECT_EQ(got[1].param_bytes, 300u);
  EXPECT_TRUE(got[1].uniform);
  EXPECT_TRUE(LoadRecipes(cache, "other").empty());
  cache.Store("cut", 3, "\x05\0\0\0ab", 6);
  EXPECT_NE(MessageOf([&] { LoadRecipes(cache, "cut"); }), "");
}

TEST_F(Recipes, AreCompiledBeforeTheyAreNeeded) {
  if (WebGpu::Load().Implementation() != "Dawn") GTEST_SKIP() << "keeps nothing on disk that would show it";
  Reopen();
  RunModel();
  const size_t with_pipeline = Files();
  ASSERT_GE(with_pipeline, 2u) << "the list, and what the implementation keeps";
  device_.reset();
  // Of the files only the list stays: it is the one that names the shader's file.
  for (const auto& file : fs::directory_iterator(folder_)) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (bytes.find("|pipelines of 7") == bytes.npos) fs::remove(file.path());
  }
  ASSERT_EQ(Files(), 1u);
  Reopen();
  device_->Prepare(7);
  for (int i = 0; i < 200 && Files() < with_pipeline; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_GE(Files(), with_pipeline) << "no dispatch has run, yet its pipeline is there";
  RunModel();
}

TEST_F(Recipes, OfAnotherVersionDoNoHarm) {
  Reopen();
  RunModel();
  device_.reset();
  for (const auto& file : fs::directory_iterator(folder_)) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const size_t key = bytes.find("|pipelines of 7");
    if (key == bytes.npos) continue;
    const size_t start = 32;  // behind the header
    const DiskCache cache(folder_.string());
    const Recipe broken{"broken", "fn main( {", "rw", 4, false};
    StoreRecipes(cache, bytes.substr(start, key + 15 - start), {&broken});
  }
  Reopen();
  device_->Prepare(7);
  RunModel();
}

// A dispatch whose text depends on `factor`; its tensors have no memory.
struct Foreseen {
  explicit Foreseen(float factor) : d(ScaleDispatch(x, y, 1, factor)) {}
  const Tensor x{.type = DType::kF32, .shape = {8}}, y = x;
  const Dispatch d;
};

TEST_F(Recipes, WhatIsForeseenIsCompiledAndNotRemembered) {
  if (WebGpu::Load().Implementation() != "Dawn") GTEST_SKIP() << "compiles nothing in the background";
  Reopen();
  const size_t before = Files();
  device_->Foresee(Foreseen(1.0f).d);  // as Scale dispatches it
  for (int i = 0; i < 200 && Files() == before; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const size_t compiled = Files();
  EXPECT_GT(compiled, before) << "no dispatch has run, yet its pipeline is there";
  EXPECT_FALSE(device_->Prepare(7)) << "nothing is known of the model";
  device_->Remember(7);
  EXPECT_EQ(Files(), compiled) << "nothing has asked for it";
  RunContext run{.model = 7};
  device_->SetRunContext(&run);
  const Tensor x = Upload(DType::kF32, std::vector<float>{-2}), y = Make(DType::kF32, {1});
  Scale(x, y, 3);
  EXPECT_EQ(Download<float>(y), (std::vector<float>{6}));
  device_->SetRunContext(nullptr);
  device_->Remember(7);
  EXPECT_EQ(Files(), compiled + 1) << "the list of the model";
}

TEST_F(Recipes, WhatIsAskedForComesBeforeWhatIsForeseen) {
  if (WebGpu::Load().Implementation() != "Dawn") GTEST_SKIP() << "compiles nothing in the background";
  Reopen();
  for (int i = 0; i < 200; ++i) device_->Foresee(Foreseen(static_cast<float>(1000 + i)).d);
  const Tensor x = Upload(DType::kF32, std::vector<float>{-2}), y = Make(DType::kF32, {1});
  Scale(x, y, 3);
  EXPECT_EQ(Download<float>(y), (std::vector<float>{6}));
  const size_t then = Files();
  size_t end = then;
  for (int quiet = 0; quiet < 10; quiet = Files() == end ? quiet + 1 : 0) {
    end = Files();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_LT(then, end) << "the others were still being compiled";
}

TEST_F(Recipes, WhatIsForeseenDoesNoHarm) {
  for (int round = 0; round < 5; ++round) {
    Open({.cache_dir = "off"});
    Dispatch broken{.shader = "shaders/broken"};
    const Tensor y{.type = DType::kF32, .shape = {1}};
    broken.out = {{"y", &y}};
    device_->Foresee(broken);
    for (int i = 0; i < 40; ++i) device_->Foresee(Foreseen(static_cast<float>(2 + 40 * round + i)).d);
    if (round % 2 == 0) continue;  // the device closes while it compiles
    const Tensor a = Upload(DType::kF32, std::vector<float>{-2}), b = Make(DType::kF32, {1});
    Scale(a, b, 3);
    EXPECT_EQ(Download<float>(b), (std::vector<float>{6})) << "what is asked for does not wait for the rest";
    device_->Free(a.device.address);
    device_->Free(b.device.address);
    owned_.clear();
  }
}

}  // namespace
}  // namespace daybreak
