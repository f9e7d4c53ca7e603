#include "ep/options.h"

#include <charconv>
#include <sstream>

#include "core/error.h"
#include "gpu/device.h"

namespace daybreak {
namespace {

constexpr int64_t kMax = INT64_MAX;
constexpr int64_t kLeastBinding = 128 << 20;  // WebGPU guarantees it
constexpr const char* kCacheModes = "disabled|lazyRelease|simple|bucket";
constexpr const char* kPool = "No effect: buffers come from one pool with bounded growth.";

constexpr auto kFlag = OptionKind::kFlag;
constexpr auto kInteger = OptionKind::kInteger;
constexpr auto kChoice = OptionKind::kChoice;
constexpr auto kText = OptionKind::kText;

constexpr OptionDef kOptions[] = {
    {"enableGraphCapture", "0", kFlag, true,
     "Record the first run of each `gpu_graph_id` and replay it in later runs. Inputs and outputs stay at "
     "the same "
     "addresses (IoBinding)."},
    {"forceCpuNodeNames", "", kText, true, "Names of nodes that stay on the CPU, separated by newlines."},
    {"enableFusion", "1", kFlag, true,
     "Run nodes that one kernel computes as one node (docs/architecture.md). ONNX Runtime does not write a "
     "model with such "
     "nodes to `optimized_model_filepath`: set 0 for that."},
    {"kvCacheQuantizationBits", "0", kInteger, true,
     "Bits of an element in the KV caches of GroupQueryAttention; 0: they have the model's type. "
     "See [kv-cache.md](kv-cache.md).",
     "0|4|8"},
    {"multiRotaryCacheConcatOffset", "0", kInteger, true,
     "Only 0: the model has one cos/sin cache, or chooses between several itself.", "0"},
    {"maxStorageBufferBindingSize", "0", kInteger, true,
     "Upper limit in bytes for one storage binding; 0: the adapter's own limit.", "", 0, kMax},
    {"maxNumPendingDispatches", "32", kInteger, true,
     "Most dispatches of one submit; the first submits of a burst are shorter.", "", 1, 4096},
    {"validationMode", "disabled", kChoice, true,
     "`wgpuOnly`, `basic` and `full` let the WebGPU implementation validate each call, for development. "
     "Pipelines and "
     "the device's errors are checked in every mode.",
     "disabled|wgpuOnly|basic|full"},
    {"enableRobustness", "0", kFlag, true, "Clamp every access of a shader to its binding."},
    {"webgpuLibrary", "", kText, true,
     "Path of the WebGPU library. A process loads one; when it is already loaded from elsewhere, that is an "
     "error. To choose "
     "it, set the environment variable `DAYBREAK_WEBGPU_LIBRARY`, or the environment's configuration entry "
     "`ep_factory.webgpuexecutionprovider.webgpuLibrary`, before registration."},
    {"gpuMemoryLimit", "0", kInteger, true,
     "Bytes of GPU memory that may be in use on the device; 0: no limit.", "", 0, kMax},
    {"cacheDir", "", kText, true,
     "Folder for compiled pipelines; empty: the user's cache folder; `off`: keep nothing on disk."},
    {"enableTuning", "1", kFlag, true,
     "Take the kernels that `daybreak tune` has measured to be the fastest on this device "
     "(docs/language-models.md)."},
    {"storeTuning", "", kText, true,
     "File whose lines (a problem, a tab, its variants) are kept for this device, its driver and this "
     "version "
     "of Daybreak, in place of what was kept before; an empty file removes it. `daybreak tune` uses it."},
    {"tuningFile", "", kText, true,
     "File that gets, after session creation and after each run, what there is to tune: lines `try` (a "
     "family "
     "of kernels, variants to try) and `problem` (of the last run, with the variants that had a say), and "
     "after "
     "a line `kept` what is kept, all separated by tabs."},
    {"explainFile", "", kText, true,
     "File that gets one line of JSON for each node at session creation: `node`, `op`, `domain`, `ep`, "
     "`reason` "
     "(why Daybreak does not run it) and, for nodes that run as one, `fused` (the operator that computes "
     "them) and "
     "`group` (the name that they share)."},
    {"memoryFile", "", kText, true,
     "File that gets the use of the device's memory as JSON after session creation and after each run, in "
     "bytes: "
     "`tensors`, `weights` and `scratch` in use, `peak` of their sum, `reserved` (free buffers included), "
     "and the number of "
     "`allocations`."},
    {"preferredLayout", "NCHW", kChoice, false, "No effect: kernels take NCHW.", "NCHW|NHWC"},
    {"sessionBufferPoolGenerations", "1", kInteger, false, kPool, "", 0, kMax},
    {"enableInt64", "0", kFlag, false, "No effect: 64-bit integers are exact and always on the GPU."},
    {"enablePIXCapture", "0", kFlag, false, "No effect."},
    {"deviceId", "0", kInteger, false, "No effect: the OrtEpDevice that the session is created with decides.",
     "", 0, kMax},
    {"webgpuInstance", "0", kInteger, true, "Only 0: Daybreak opens its own instance.", "0"},
    {"webgpuDevice", "0", kInteger, true, "Only 0: Daybreak opens its own device.", "0"},
    {"dawnProcTable", "0", kInteger, true, "Only 0: Daybreak loads its own library.", "0"},
    {"dawnBackendType", "", kChoice, false,
     "No effect: the OrtEpDevice that the session is created with decides.", "|D3D12|Vulkan"},
    {"powerPreference", "high-performance", kChoice, false,
     "No effect: the OrtEpDevice that the session is created with decides.", "high-performance|low-power"},
    {"preserveDevice", "0", kFlag, false,
     "No effect: a device stays open until the library is unregistered."},
    {"storageBufferCacheMode", "bucket", kChoice, false, kPool, kCacheModes},
    {"uniformBufferCacheMode", "simple", kChoice, false, kPool, kCacheModes},
    {"queryResolveBufferCacheMode", "disabled", kChoice, false, kPool, kCacheModes},
    {"defaultBufferCacheMode", "disabled", kChoice, false, kPool, kCacheModes},
};

std::vector<std::string> Split(std::string_view text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

bool ToNumber(const std::string& text, int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// The one option whose numbers are not one range.
bool IsBindingLimit(const OptionDef& def) {
  return std::string_view(def.key) == "maxStorageBufferBindingSize";
}

// "0 or 1", "64 .. 4096", "a, b or c".
std::string ValidValues(const OptionDef& def) {
  if (def.kind == OptionKind::kFlag) return "0 or 1";
  if (def.kind == OptionKind::kText) return "any text";
  if (IsBindingLimit(def)) return Join("0, or ", kLeastBinding, " or more");
  if (*def.choices == '\0')
    return def.high == kMax ? Join(def.low, " or more") : Join(def.low, " to ", def.high);
  std::string list;
  for (const std::string& choice : Split(def.choices, '|'))
    if (!choice.empty()) list += (list.empty() ? "" : ", ") + choice;
  return list;
}

bool IsValid(const OptionDef& def, const std::string& text) {
  int64_t number = 0;
  if (def.kind == OptionKind::kText) return true;
  if (def.kind == OptionKind::kFlag) return text == "0" || text == "1";
  if (*def.choices != '\0') {
    for (const std::string& choice : Split(def.choices, '|'))
      if (choice == text) return true;
    return false;
  }
  if (!ToNumber(text, number)) return false;
  if (IsBindingLimit(def) && number != 0 && number < kLeastBinding) return false;
  return number >= def.low && number <= def.high;
}

std::string Keys() {
  std::string list;
  for (const OptionDef& def : kOptions) list += (list.empty() ? "" : ", ") + std::string(def.key);
  return list;
}

}  // namespace

std::span<const OptionDef> OptionTable() { return kOptions; }

Options::Options(const Pairs& given, const std::function<void(const std::string&)>& warn) {
  for (const OptionDef& def : kOptions) entries_.push_back({def.key, def.initial});
  for (const auto& [key, text] : given) {
    size_t i = 0;
    while (i < entries_.size() && entries_[i].key != key) ++i;
    if (i == entries_.size()) Fail("Unknown option '", key, "'. The options are: ", Keys(), ".");
    const OptionDef& def = kOptions[i];
    if (!IsValid(def, text))
      Fail("Option ", key, " is '", text, "'. Valid: ", ValidValues(def), ". ", def.meaning);
    if (!def.effective && text != def.initial && warn)
      warn(Join("Option ", key, " = '", text, "' is accepted for compatibility. ", def.meaning));
    entries_[i].text = text;
  }
  for (Entry& entry : entries_) ToNumber(entry.text, entry.number);
}

const Options::Entry& Options::Find(std::string_view key) const {
  for (const Entry& entry : entries_)
    if (entry.key == key) return entry;
  Fail("There is no option '", key, "'.");
}

const std::string& Options::Text(std::string_view key) const { return Find(key).text; }
int64_t Options::Int(std::string_view key) const { return Find(key).number; }

DeviceOptions Options::ForDevice() const {
  DeviceOptions device;
  device.validation = Text("validationMode") != "disabled";
  device.robustness = Flag("enableRobustness");
  device.max_pending_dispatches = static_cast<uint32_t>(Int("maxNumPendingDispatches"));
  device.max_binding = static_cast<uint64_t>(Int("maxStorageBufferBindingSize"));
  device.memory_limit = static_cast<uint64_t>(Int("gpuMemoryLimit"));
  device.cache_dir = Text("cacheDir");
  return device;
}

std::string OptionsPage() {
  std::ostringstream page;
  page << "# Options\n\n"
          "Options of a session. Give them with the device, "
          "`options.add_provider_for_devices([device], {\"enableGraphCapture\": \"1\"})` in Python, "
          "`AppendExecutionProvider_V2` in C++, or as session configuration entries "
          "`ep.webgpuexecutionprovider.<key>` (the EP's name in lower case). An unknown key or a bad value "
          "is an error at "
          "session creation.\n\n"
          "Options of the device (validation, robustness, submits, binding limit, memory limit, cache "
          "folder) are "
          "decided by the first of several sessions that are open on it.\n\n"
          "Options of a run: `gpu_graph_id` (default 0; -1 runs without capture), "
          "`disable_synchronize_execution_providers`, `variants` (names of kernels to take where they can "
          "run, separated by commas, or `FAMILY:` and such a list for one family of kernels; the environment "
          "variable `DAYBREAK_VARIANT`, a list, goes before it).\n";
  for (const bool effective : {true, false}) {
    page << (effective ? "\n## Keys\n" : "\n## Keys that are accepted for compatibility\n")
         << "\n| Key | Default | Valid | Meaning |\n|---|---|---|---|\n";
    for (const OptionDef& def : kOptions) {
      if (def.effective != effective) continue;
      page << "| `" << def.key << "` | " << (*def.initial ? Join("`", def.initial, "`") : "empty") << " | "
           << ValidValues(def) << " | " << def.meaning << " |\n";
    }
  }
  return page.str();
}

}  // namespace daybreak
