// Tensors above the limit of one storage binding.
#include "gpu/segments.h"

#include "gpu/render.h"
#include "gpu_fixture.h"
#include "tint.h"

namespace daybreak {
namespace {

TEST(Segments, BracketsOfTheNamesBecomeCalls) {
  const auto use = [](const char* text) { return UseSegments(text, {"x", "y"}); };
  EXPECT_EQ(use("let v = x[i];"), "let v = x_segments_load(u32(i));");
  EXPECT_EQ(use("y[i + 1u] = f(x[n[i]], x[x[2]]);"),
            "y_segments_store(u32(i + 1u), f(x_segments_load(u32(n[i])), "
            "x_segments_load(u32(x_segments_load(u32(2))))));");
  EXPECT_EQ(use("if (x[i][2] == y[j].z) { return; }"),
            "if (x_segments_load(u32(i))[2] == y_segments_load(u32(j)).z) { return; }");
  EXPECT_EQ(use("let old = atomicMax(&y[x[0]], i + 1u);"),
            "let old = y_segments_atomicMax(u32(x_segments_load(u32(0))), i + 1u);");
}

TEST(Segments, OtherNamesStay) {
  const char* text = "a.x[0] = max[i]; xy[i] = x1[j]; let x = x_get(i); atomicAdd(&z[0], 1u);";
  EXPECT_EQ(UseSegments(text, {"x", "y"}), text);
}

TEST(Segments, ABracketThatStaysOpenIsAnError) {
  EXPECT_NE(MessageOf([] { UseSegments("let v = x[i;", {"x"}); }), "");
  EXPECT_NE(MessageOf([] { UseSegments("y[i] = 2", {"y"}); }), "");
}

TEST(Segments, EveryTypeAndWidthCompiles) {
  if (!HasTint()) GTEST_SKIP() << "no tint";
  const Segments both{3, 2};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kU8, DType::kI4})
    for (const View view : {View::kTyped, View::kRaw}) {
      const Tensor x{.type = type, .shape = {1000}}, y{.type = type, .shape = {1000}};
      Dispatch d{.shader = "shaders/echo"};
      d.in = {{.name = "x", .tensor = &x, .view = view}};
      d.out = {{.name = "y", .tensor = &y, .view = view}};
      d.params = {{"size", 1000u}};
      EXPECT_EQ(TintErrors(Render(d, {.segment_bytes = 512}, both)), "") << NameOf(type);
      EXPECT_FALSE(KeyOf(d) == KeyOf(d, both));
    }
}

class SegmentsOnDevice : public GpuTest {};

TEST_F(SegmentsOnDevice, EveryElementIsReachedOnBothSides) {
  Open({.max_binding = 1024});
  for (const DType type : {DType::kF32, DType::kF16, DType::kU8, DType::kI64, DType::kU4}) {
    for (const int64_t bytes : {1024, 1025, 2048, 5000}) {
      const Tensor x = Make(type, {bytes * 8 / static_cast<int64_t>(BitsOf(type))}), y = Make(type, x.shape);
      const std::vector<uint8_t> data = Pattern(x.bytes());
      device_->Upload(data.data(), x.device.address, data.size());
      Echo(x, y);
      ASSERT_EQ(Download<uint8_t>(y), data) << NameOf(type) << " " << bytes;
    }
  }
}

TEST_F(SegmentsOnDevice, TooManyAreAnErrorThatNamesTheLimit) {
  Open({.max_binding = 256});
  const Tensor x = Make(DType::kU8, {100000}), y = Make(DType::kU8, {100000});
  const std::string message = MessageOf([&] { Echo(x, y); });
  EXPECT_NE(message.find("maxStorageBufferBindingSize"), std::string::npos) << message;
  EXPECT_NE(message.find("100000 bytes"), std::string::npos) << message;
}

}  // namespace
}  // namespace daybreak
