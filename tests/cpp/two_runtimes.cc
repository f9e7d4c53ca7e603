// Two copies of ONNX Runtime in one process, each with the plugin registered and a session that runs in turns
// with the other's.   usage: two_runtimes PLUGIN MODEL LIBONNXRUNTIME LIBONNXRUNTIME
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "onnxruntime_c_api.h"

namespace {

struct Runtime {
  const OrtApi* api = nullptr;
  OrtEnv* env = nullptr;
  OrtSession* session = nullptr;

  void Ok(OrtStatus* status) const {
    if (status == nullptr) return;
    std::fprintf(stderr, "%s\n", api->GetErrorMessage(status));
    std::exit(1);
  }

  Runtime(const char* library, const char* plugin, const char* model) {
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) std::fprintf(stderr, "%s\n", dlerror()), std::exit(1);
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"))();
    api = base->GetApi(27);
    std::printf("ONNX Runtime %s\n", base->GetVersionString());
    Ok(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "two", &env));
    Ok(api->RegisterExecutionProviderLibrary(env, "WebGPU", plugin));
    const OrtEpDevice* const* devices = nullptr;
    size_t count = 0;
    Ok(api->GetEpDevices(env, &devices, &count));
    std::vector<const OrtEpDevice*> chosen;
    for (size_t i = 0; i < count && chosen.empty(); ++i)
      if (std::strcmp(api->EpDevice_EpName(devices[i]), "WebGpuExecutionProvider") == 0)
        chosen.push_back(devices[i]);
    OrtSessionOptions* options = nullptr;
    Ok(api->CreateSessionOptions(&options));
    Ok(api->AddSessionConfigEntry(options, "session.disable_cpu_ep_fallback", "1"));
    Ok(api->SessionOptionsAppendExecutionProvider_V2(options, env, chosen.data(), chosen.size(), nullptr,
                                                     nullptr, 0));
    Ok(api->CreateSession(env, model, options, &session));
    api->ReleaseSessionOptions(options);
  }

  // Runs y = -x; a shape that does not fit must be an error.
  void Run(float value) const {
    std::vector<float> x(8, value);
    const int64_t shape[] = {1, 8}, wrong[] = {8};
    OrtMemoryInfo* memory = nullptr;
    Ok(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    for (const bool fits : {true, false}) {
      OrtValue *input = nullptr, *output = nullptr;
      Ok(api->CreateTensorWithDataAsOrtValue(memory, x.data(), 32, fits ? shape : wrong, fits ? 2 : 1,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
      const char *in = "x0", *out = "y";
      OrtStatus* status = api->Run(session, nullptr, &in, &input, 1, &out, 1, &output);
      if (fits) {
        Ok(status);
        float* y = nullptr;
        Ok(api->GetTensorMutableData(output, reinterpret_cast<void**>(&y)));
        if (y[7] != -value) std::fprintf(stderr, "%g, not %g\n", y[7], -value), std::exit(1);
        api->ReleaseValue(output);
      } else if (status == nullptr) {
        std::fprintf(stderr, "a wrong shape is no error\n"), std::exit(1);
      } else {
        api->ReleaseStatus(status);
      }
      api->ReleaseValue(input);
    }
    api->ReleaseMemoryInfo(memory);
  }

  void Close() {
    api->ReleaseSession(session);
    Ok(api->UnregisterExecutionProviderLibrary(env, "WebGPU"));
    api->ReleaseEnv(env);
  }
};

}  // namespace

int main(int, char** args) {
  Runtime first(args[3], args[1], args[2]);
  first.Run(1);
  Runtime second(args[4], args[1], args[2]);
  for (int i = 2; i < 5; ++i) {
    first.Run(static_cast<float>(i));
    second.Run(static_cast<float>(-i));
  }
  second.Close();
  first.Run(9);
  first.Close();
  std::puts("done");
}
