#include "ep/options.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/error.h"
#include "gpu/device.h"

namespace daybreak {
namespace {

std::string ErrorOf(const Options::Pairs& given) {
  try {
    Options options(given);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Options, InitialValuesAreValid) {
  const Options options;
  for (const OptionDef& def : OptionTable()) {
    EXPECT_EQ(options.Text(def.key), def.initial);
    EXPECT_EQ(ErrorOf({{def.key, def.initial}}), "") << def.key;
  }
  EXPECT_FALSE(options.Flag("enableGraphCapture"));
  EXPECT_EQ(options.Int("maxNumPendingDispatches"), DeviceOptions{}.max_pending_dispatches);
}

TEST(Options, AnUnknownKeyNamesTheKeys) {
  const std::string error = ErrorOf({{"enablegraphcapture", "1"}});
  EXPECT_NE(error.find("'enablegraphcapture'"), std::string::npos) << error;
  EXPECT_NE(error.find("enableGraphCapture"), std::string::npos) << error;
  EXPECT_NE(error.find("defaultBufferCacheMode"), std::string::npos) << error;
}

TEST(Options, ABadValueNamesTheValidOnes) {
  const std::pair<const char*, const char*> bad[] = {
      {"enableGraphCapture", "true"},           {"enableGraphCapture", ""},
      {"maxNumPendingDispatches", "0"},         {"maxNumPendingDispatches", "4097"},
      {"maxNumPendingDispatches", "12x"},       {"maxStorageBufferBindingSize", "134217727"},
      {"maxStorageBufferBindingSize", "-1"},    {"validationMode", "Full"},
      {"kvCacheQuantizationBits", "3"},         {"multiRotaryCacheConcatOffset", "4096"},
      {"storageBufferCacheMode", "graph"},      {"webgpuDevice", "12345"},
      {"gpuMemoryLimit", "9223372036854775808"}};
  for (const auto& [key, value] : bad) {
    const std::string error = ErrorOf({{key, value}});
    EXPECT_NE(error.find(key), std::string::npos) << key << " = " << value;
    EXPECT_NE(error.find("Valid: "), std::string::npos) << key << " = " << value;
  }
}

TEST(Options, CompatibilityKeysWarnWhenTheyAreChanged) {
  std::string warnings;
  const auto warn = [&](const std::string& text) { warnings += text + "\n"; };
  Options unchanged({{"preferredLayout", "NCHW"}, {"enableGraphCapture", "1"}}, warn);
  EXPECT_EQ(warnings, "");
  Options changed({{"preferredLayout", "NHWC"}, {"powerPreference", "low-power"}}, warn);
  EXPECT_NE(warnings.find("preferredLayout"), std::string::npos);
  EXPECT_NE(warnings.find("powerPreference"), std::string::npos);
}

TEST(Options, ReachTheDevice) {
  const Options options({{"validationMode", "full"},
                         {"enableRobustness", "1"},
                         {"maxNumPendingDispatches", "7"},
                         {"maxStorageBufferBindingSize", "134217728"},
                         {"gpuMemoryLimit", "1000000"},
                         {"cacheDir", "off"}});
  const DeviceOptions device = options.ForDevice();
  EXPECT_TRUE(device.validation);
  EXPECT_TRUE(device.robustness);
  EXPECT_EQ(device.max_pending_dispatches, 7u);
  EXPECT_EQ(device.max_binding, 134217728u);
  EXPECT_EQ(device.memory_limit, 1000000u);
  EXPECT_EQ(device.cache_dir, "off");
}

}  // namespace
}  // namespace daybreak
