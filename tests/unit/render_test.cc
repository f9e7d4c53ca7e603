// The text of a shader follows from the pipeline key and from nothing else, and every text compiles.
#include "gpu/render.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tint.h"

namespace daybreak {
namespace {

using testing::Test;

Tensor Make(DType type, int64_t size = 100) { return {.type = type, .shape = {size}}; }

// scale.wgsl uses constants and parameters of every kind.
class Scale : public Test {
 protected:
  Dispatch Make(bool has_bias = true) const {
    Dispatch d{.shader = "shaders/scale"};
    d.consts = {{"WG", 64u},
                {"RANK", 2u},
                {"FACTOR", 0.5f},
                {"HAS_BIAS", has_bias},
                {"FLIP", false},
                {"acc_t", "f32"},
                {"F", Code{"fn f(v: f32) -> f32 { return abs(v); }"}}};
    d.in = {{"x", &x_}};
    if (has_bias) d.in.push_back({"bias", &bias_});
    d.out = {{"y", &y_}};
    d.params = {{"size", 100u}, {"factor", 2.0f}, {"shape", Ints{10, 10}}, {"shift", int32_t{-3}}};
    d.grid = {2};
    return d;
  }
  Tensor x_ = daybreak::Make(DType::kF32), bias_ = daybreak::Make(DType::kF16),
         y_ = daybreak::Make(DType::kF32);
};

TEST_F(Scale, SizesAndValuesOfParametersAreNotInTheKey) {
  const Dispatch a = Make();
  Dispatch b = Make();
  const Tensor other = daybreak::Make(DType::kF32, 7);
  b.in[0].tensor = &other;
  b.params[0].value = 7u;
  b.params[1].value = -1.0f;
  b.params[2].value = Ints{7, 1};
  b.grid = {9};
  EXPECT_EQ(KeyOf(a), KeyOf(b));
  EXPECT_EQ(HashOf(KeyOf(a)), HashOf(KeyOf(b)));
  EXPECT_EQ(Render(a), Render(b));
}

TEST_F(Scale, WhateverChangesTheTextChangesTheKey) {
  const Dispatch base = Make();
  const Tensor half = daybreak::Make(DType::kF16);
  std::vector<std::pair<const char*, Dispatch>> others;
  const auto add = [&](const char* what, auto change) {
    Dispatch d = base;
    change(d);
    others.emplace_back(what, d);
  };
  add("constant", [](Dispatch& d) { d.consts[0].value = 128u; });
  add("kind of constant", [](Dispatch& d) { d.consts[1].value = int32_t{2}; });
  add("float constant", [](Dispatch& d) { d.consts[2].value = 0.25f; });
  add("bool constant", [](Dispatch& d) { d.consts[4].value = true; });
  add("alias", [](Dispatch& d) { d.consts[5].value = "f16"; });
  add("code", [](Dispatch& d) { d.consts[6].value = Code{"fn f(v: f32) -> f32 { return -v; }"}; });
  add("input type", [&](Dispatch& d) { d.in[0].tensor = &half; });
  add("output type", [&](Dispatch& d) { d.out[0].tensor = &half; });
  add("view", [](Dispatch& d) { d.in[0].view = View::kRaw; });
  add("width", [](Dispatch& d) { d.in[0].width = 4; });
  add("parameter kind", [](Dispatch& d) { d.params[3].value = 3.0f; });
  add("list length", [](Dispatch& d) { d.params[2].value = Ints{1, 2, 3, 4, 5}; });
  add("parameter name", [](Dispatch& d) { d.params[1].name = "factor2"; });
  add("fewer inputs", [](Dispatch& d) { d.consts[3].value = false, d.in.pop_back(); });
  for (const auto& [what, d] : others) {
    EXPECT_NE(Render(base), Render(d)) << what;
    EXPECT_FALSE(KeyOf(base) == KeyOf(d)) << what;
  }
}

TEST_F(Scale, OptionalBindingsComeAndGo) {
  const std::string with = Render(Make(true)), without = Render(Make(false));
  EXPECT_NE(with.find("bias_get(i)"), std::string::npos);
  EXPECT_EQ(with.find("NO_BIAS"), std::string::npos);
  EXPECT_EQ(without.find("bias_get"), std::string::npos);
  EXPECT_NE(without.find("NO_BIAS"), std::string::npos);
  EXPECT_EQ(without.find("enable f16"), std::string::npos) << "a comment must not enable a feature";
  EXPECT_EQ(with.find("fn twice"), with.rfind("fn twice")) << "a snippet is included once";
}

TEST_F(Scale, LinesRepeat) {
  Dispatch d{.shader = "shaders/loop"};
  d.consts = {{"COUNT", 3u}, {"TWICE", true}};
  d.in = {{"x", &x_}};
  d.out = {{"y", &y_}};
  d.params = {{"size", 100u}};
  const std::string text = Render(d);
  for (const char* line : {"let row0 = x_get(i) * 0.0;", "let row2 = x_get(i) * 2.0;", "total += row2;",
                           "let item2_1 = row2 * 1.0;"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
  EXPECT_EQ(text.find("row3"), std::string::npos);
  EXPECT_EQ(text.find('$'), std::string::npos);
  EXPECT_EQ(HasTint() ? TintErrors(text) : "", "");
  d.consts[0].value = 0u;
  EXPECT_EQ(Render(d).find("row"), std::string::npos);
  d.consts[0].value = true;  // #for takes u32 constants only
  EXPECT_THROW(Render(d), Error);
}

TEST_F(Scale, Compiles) {
  if (!HasTint()) GTEST_SKIP() << "tint is not on PATH";
  EXPECT_EQ(TintErrors(Render(Make(true))), "");
  EXPECT_EQ(TintErrors(Render(Make(false))), "");
  EXPECT_EQ(TintErrors(Render(Make(true), {.immediates = false})), "");
  EXPECT_NE(TintErrors(Render({.shader = "shaders/broken"})), "");
}

TEST_F(Scale, MistakesNameTheShader) {
  const auto message = [](const Dispatch& d) -> std::string {
    try {
      Render(d);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message({.shader = "shaders/absent"}).find("shaders/absent"), std::string::npos);
  Dispatch d = Make();
  d.consts[3].value = 1u;  // #if takes bool constants only
  EXPECT_NE(message(d).find("HAS_BIAS"), std::string::npos);
  d.consts[3].name = "OTHER";
  EXPECT_NE(message(d).find("HAS_BIAS"), std::string::npos);
  Dispatch dangling{.shader = "shaders/dangling"};
  dangling.consts = {{"HAS_BIAS", true}};
  EXPECT_NE(message(dangling).find("shaders/dangling"), std::string::npos);
  d = Make();
  d.in[0].width = 3;
  EXPECT_NE(message(d).find("width 3"), std::string::npos);
  d = Make();
  d.consts[2].value = std::numeric_limits<float>::infinity();
  EXPECT_NE(message(d).find("FACTOR"), std::string::npos) << "WGSL has no infinite constant";
}

TEST_F(Scale, ParametersFollowTheLayoutOfTheStruct) {
  const Dispatch d = Make();
  ASSERT_EQ(ParamBytes(d), 32u);  // one list, three scalars, rounded up to a vector
  uint8_t bytes[32];
  WriteParams(d, bytes);
  uint32_t words[8];
  std::memcpy(words, bytes, sizeof words);
  float factor;
  std::memcpy(&factor, &words[5], 4);
  EXPECT_EQ(words[0], 10u);
  EXPECT_EQ(words[1], 10u);
  EXPECT_EQ(words[2], 0u);
  EXPECT_EQ(words[4], 100u);
  EXPECT_EQ(factor, 2.0f);
  EXPECT_EQ(words[6], 0xFFFFFFFDu);
  Dispatch scalars{.shader = "shaders/echo"};
  scalars.params = {{"size", 1u}, {"other", 2u}, {"third", 3u}};
  EXPECT_EQ(ParamBytes(scalars), 12u);
}

TEST_F(Scale, ManyParametersLeaveTheImmediates) {
  Dispatch d = Make();
  EXPECT_NE(Render(d).find("var<immediate>"), std::string::npos);
  d.params.push_back({"more", Ints{1, 2, 3, 4, 5, 6, 7, 8}});
  EXPECT_EQ(ParamBytes(d), 64u);
  EXPECT_NE(Render(d).find("var<immediate>"), std::string::npos);
  d.params.push_back({"last", 1u}), d.params.push_back({"straw", 1u});
  EXPECT_GT(ParamBytes(d), kMaxImmediateBytes);
  EXPECT_NE(Render(d).find("var<uniform>"), std::string::npos);
  if (HasTint()) {
    EXPECT_EQ(TintErrors(Render(d)), "");
  }
}

TEST(Render, FloatConstantsKeepTheirValue) {
  const Tensor x = Make(DType::kF32);
  for (const float v : {0.1f, 1e-30f, -3.4028235e38f, 1.0f, 16777217.0f, 0.0f, -1.5e-7f, 1e10f}) {
    Dispatch d{.shader = "shaders/echo"};
    d.consts = {{"VALUE", v}};
    d.in = {{"x", &x}};
    d.out = {{"y", &x}};
    d.params = {{"size", 1u}};
    const std::string text = Render(d);
    const std::string start = "const VALUE: f32 = ";
    const size_t at = text.find(start);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(std::strtof(text.c_str() + at + start.size(), nullptr), v);
    if (HasTint()) {
      EXPECT_EQ(TintErrors(text), "");
    }
  }
}

// The fullest dispatch that can be written has a key.
TEST(Render, KeyHoldsEveryList) {
  const Tensor x = Make(DType::kF32);
  Dispatch d{.shader = "shaders/echo"};
  while (d.consts.size() < d.consts.capacity()) d.consts.push_back({"C", 1u});
  while (d.in.size() < d.in.capacity()) d.in.push_back({"x", &x});
  while (d.out.size() < d.out.capacity()) d.out.push_back({"y", &x});
  while (d.params.size() < d.params.capacity()) d.params.push_back({"p", 1u});
  EXPECT_NO_THROW(KeyOf(d));
}

TEST(Render, EveryTypeAndViewCompiles) {
  if (!HasTint()) GTEST_SKIP() << "tint is not on PATH";
  for (int t = 1; t <= static_cast<int>(DType::kU4); ++t) {
    for (const View view : {View::kTyped, View::kRaw}) {
      const Tensor x = Make(static_cast<DType>(t));
      Dispatch d{.shader = "shaders/echo"};
      d.in = {{.name = "x", .tensor = &x, .view = view}};
      d.out = {{.name = "y", .tensor = &x, .view = view}};
      d.params = {{"size", 100u}};
      EXPECT_EQ(TintErrors(Render(d)), "") << NameOf(x.type) << " view " << static_cast<int>(view);
    }
  }
}

TEST(Render, EveryWidthCompiles) {
  if (!HasTint()) GTEST_SKIP() << "tint is not on PATH";
  for (const DType type : {DType::kF32, DType::kF16, DType::kI32, DType::kU32}) {
    for (const uint32_t in : {1u, 2u, 4u}) {
      for (const uint32_t out : {1u, 2u, 4u}) {
        const Tensor x = Make(type);
        Dispatch d{.shader = "shaders/echo"};
        d.in = {{.name = "x", .tensor = &x, .width = in}};
        d.out = {{.name = "y", .tensor = &x, .width = out}};
        d.params = {{"size", 100u}};
        EXPECT_EQ(TintErrors(Render(d)), "") << NameOf(type) << " widths " << in << " and " << out;
      }
    }
  }
}

TEST(Render, WordsAndAtomicsCompile) {
  if (!HasTint()) GTEST_SKIP() << "tint is not on PATH";
  const Tensor x = Make(DType::kU8), y = Make(DType::kF16);
  Dispatch d{.shader = "shaders/words"};
  d.in = {{.name = "x", .tensor = &x, .view = View::kWords}};
  d.out = {{.name = "y", .tensor = &y, .view = View::kAtomic}};
  d.params = {{"size", 25u}};
  EXPECT_EQ(TintErrors(Render(d)), "");
}

}  // namespace
}  // namespace daybreak
