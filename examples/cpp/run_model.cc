// Runs an ONNX model with float inputs on Daybreak: run_model PLUGIN.so MODEL.onnx
// Free dimensions become 1, and input element i is i % 7.

#include <onnxruntime_cxx_api.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr const char* kRegistration = "WebGPU";
constexpr const char* kEpName = "WebGpuExecutionProvider";

std::string Metadata(const Ort::ConstEpDevice& device, const char* key) {
  const char* value = device.EpMetadata().GetValue(key);
  return value != nullptr ? value : "";
}

std::vector<Ort::ConstEpDevice> Devices(const Ort::Env& env) {
  std::vector<Ort::ConstEpDevice> found;
  for (const Ort::ConstEpDevice& device : env.GetEpDevices())
    if (std::string(device.EpName()) == kEpName) found.push_back(device);
  return found;
}

// Values for every input of the session; `storage` owns them.
std::vector<Ort::Value> MakeInputs(const Ort::Session& session, std::vector<std::vector<float>>& storage) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<Ort::Value> inputs;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    const Ort::TypeInfo type = session.GetInputTypeInfo(i);
    std::vector<int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
    size_t count = 1;
    for (int64_t& size : shape) {
      if (size < 0) size = 1;
      count *= static_cast<size_t>(size);
    }
    std::vector<float>& values = storage.emplace_back(count);
    for (size_t k = 0; k < count; ++k) values[k] = static_cast<float>(k % 7);
    inputs.push_back(
        Ort::Value::CreateTensor<float>(memory, values.data(), count, shape.data(), shape.size()));
  }
  return inputs;
}

std::vector<const char*> Pointers(const std::vector<std::string>& names) {
  std::vector<const char*> pointers;
  for (const std::string& name : names) pointers.push_back(name.c_str());
  return pointers;
}

void Print(const std::string& name, const Ort::Value& value) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  std::cout << name << ": shape (";
  for (const int64_t size : info.GetShape()) std::cout << ' ' << size;
  std::cout << " ), values";
  for (size_t k = 0; k < info.GetElementCount() && k < 8; ++k)
    std::cout << ' ' << value.GetTensorData<float>()[k];
  std::cout << '\n';
}

// What the plugin's allocator says of the device's memory: use by kind, peak and limit, in bytes.
void PrintMemory(Ort::Env& env, const Ort::ConstEpDevice& device) {
  const auto allocator = env.GetSharedAllocator(device.GetMemoryInfo(OrtDeviceMemoryType_DEFAULT));
  const Ort::KeyValuePairs stats = allocator.GetStats();
  std::cout << "memory:";
  for (const auto& [key, value] : stats.GetKeyValuePairs()) std::cout << ' ' << key << ' ' << value;
  std::cout << '\n';
}

void RunModel(Ort::Env& env, const char* model) {
  const std::vector<Ort::ConstEpDevice> devices = Devices(env);
  if (devices.empty()) throw std::runtime_error("no WebGPU device was found");
  std::cout << "device: " << Metadata(devices[0], "name") << '\n';

  Ort::SessionOptions options;
  options.AppendExecutionProvider_V2(env, {devices[0]}, Ort::KeyValuePairs());
  Ort::Session session(env, model, options);

  std::vector<std::vector<float>> storage;
  const std::vector<Ort::Value> inputs = MakeInputs(session, storage);
  const std::vector<std::string> input_names = session.GetInputNames(),
                                 output_names = session.GetOutputNames();
  const auto in = Pointers(input_names), out = Pointers(output_names);
  std::vector<Ort::Value> outputs;
  for (const char* run : {"first", "second"}) {
    const auto start = std::chrono::steady_clock::now();
    outputs = session.Run(Ort::RunOptions(), in.data(), inputs.data(), in.size(), out.data(), out.size());
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::cout << run << " run: " << time.count() << " ms\n";
  }
  for (size_t i = 0; i < outputs.size(); ++i) Print(output_names[i], outputs[i]);
  PrintMemory(env, devices[0]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " PLUGIN.so MODEL.onnx\n";
    return 2;
  }
  try {
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "example");
    env.RegisterExecutionProviderLibrary(kRegistration, argv[1]);
    RunModel(env, argv[2]);
    env.UnregisterExecutionProviderLibrary(kRegistration);
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << '\n';
    return 1;
  }
  return EXIT_SUCCESS;
}
