// The two functions that ONNX Runtime looks up in the library.
#include "ep/factory.h"

#ifdef _WIN32
#define DAYBREAK_EXPORT extern "C" __declspec(dllexport)
#else
#define DAYBREAK_EXPORT extern "C" __attribute__((visibility("default")))
#endif

using daybreak::api;

DAYBREAK_EXPORT OrtStatus* CreateEpFactories(const char* registered_name, const OrtApiBase* base,
                                             const OrtLogger* logger, OrtEpFactory** factories, size_t room,
                                             size_t* made) {
  const OrtApi* ort = base->GetApi(daybreak::kOrtApi);
  if (ort == nullptr) {
    // Version 1 has CreateStatus at the same place in every release.
    const OrtApi* oldest = base->GetApi(1);
    return oldest->CreateStatus(ORT_EP_FAIL, "Daybreak needs ONNX Runtime 1.27 or newer.");
  }
  api = {ort, ort->GetEpApi()};
  return daybreak::Guard([&] {
    daybreak::Check(room >= 1, "ONNX Runtime has no room for a factory.");
    factories[0] = daybreak::MakeFactory(registered_name, logger);
    *made = 1;
  });
}

DAYBREAK_EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  daybreak::DeleteFactory(factory);
  return nullptr;
}
