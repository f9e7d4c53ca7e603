// ONNX Runtime's C API as the plugin uses it: the tables, status and exception conversion, owners, element
// types.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "core/op.h"
#include "core/shape.h"

namespace daybreak {

// The version of the API that Daybreak is written for: the oldest ORT that it runs on. Newer ORTs still serve
// it.
inline constexpr uint32_t kOrtApi = 27;

struct Api {
  const OrtApi* ort = nullptr;
  const OrtEpApi* ep = nullptr;
};

// The tables of the copy of ONNX Runtime that called into the plugin on this thread. A process may hold
// several copies (onnxruntime-genai brings its own), so each object that ORT calls keeps the tables of the
// one that it was made for, and its functions begin with Enter.
extern constinit thread_local Api api;

// Base of the objects that ORT calls.
struct Home {
  Api home = api;
};

// The object behind one of ORT's structs; sets the thread's tables to those of its copy of ORT.
template <class T, class Base>
T& Enter(Base* self) {
  T& object = *static_cast<T*>(self);
  api = object.home;
  return object;
}

// A failed call of ORT's API, or an error that shall reach the caller with this code.
class OrtError : public Error {
 public:
  OrtError(OrtErrorCode code, const std::string& message) : Error(message), code(code) {}
  OrtErrorCode code;
};

// Throws an OrtError when `status` is one, and releases it.
inline void Ok(OrtStatus* status) {
  if (status == nullptr) [[likely]]
    return;
  OrtError error(api.ort->GetErrorCode(status), api.ort->GetErrorMessage(status));
  api.ort->ReleaseStatus(status);
  throw error;
}

// Runs `body` at the C boundary: exceptions become an OrtStatus.
template <class F>
OrtStatus* Guard(F&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const OrtError& e) {
    return api.ort->CreateStatus(e.code, e.what());
  } catch (const std::exception& e) {
    return api.ort->CreateStatus(ORT_EP_FAIL, e.what());
  } catch (...) {
    return api.ort->CreateStatus(ORT_EP_FAIL, "Daybreak: unknown exception.");
  }
}

struct OrtRelease {
  void operator()(OrtMemoryInfo* p) const { api.ort->ReleaseMemoryInfo(p); }
  void operator()(OrtKeyValuePairs* p) const { api.ort->ReleaseKeyValuePairs(p); }
  void operator()(OrtValue* p) const { api.ort->ReleaseValue(p); }
  void operator()(OrtTypeInfo* p) const { api.ort->ReleaseTypeInfo(p); }
  void operator()(OrtKernelInfo* p) const { api.ort->ReleaseKernelInfo(p); }
  void operator()(OrtExternalInitializerInfo* p) const { api.ort->ReleaseExternalInitializerInfo(p); }
  void operator()(OrtKernelRegistry* p) const { api.ep->ReleaseKernelRegistry(p); }
  void operator()(OrtKernelDefBuilder* p) const { api.ep->ReleaseKernelDefBuilder(p); }
  void operator()(OrtKernelDef* p) const { api.ep->ReleaseKernelDef(p); }
  void operator()(OrtHardwareDevice* p) const { api.ep->ReleaseHardwareDevice(p); }
  void operator()(OrtEpDevice* p) const { api.ep->ReleaseEpDevice(p); }
  void operator()(OrtOpSchema* p) const { api.ep->ReleaseOpSchema(p); }
  void operator()(OrtProfilingEvent* p) const { api.ep->ReleaseProfilingEvent(p); }
};

// Owner of an object of ORT.
template <class T>
using Own = std::unique_ptr<T, OrtRelease>;

// The object that a function of ORT's API creates in its last argument: Make<OrtTypeInfo>(fn, args...).
template <class T, class F, class... A>
Own<T> Make(F&& function, A&&... args) {
  T* made = nullptr;
  Ok(function(std::forward<A>(args)..., &made));
  return Own<T>(made);
}

// The value that a function of ORT's API returns in its last argument.
template <class T, class F, class... A>
T Get(F&& function, A&&... args) {
  T value{};
  Ok(function(std::forward<A>(args)..., &value));
  return value;
}

// A new list of keys and values.
Own<OrtKeyValuePairs> MakePairs(const std::vector<std::pair<std::string, std::string>>& pairs);
std::vector<std::pair<std::string, std::string>> ReadPairs(const OrtKeyValuePairs& pairs);

// kUndefined for element types that no kernel takes (strings, complex numbers, 8-bit floats).
DType FromOrt(ONNXTensorElementDataType type);
ONNXTensorElementDataType ToOrt(DType type);
// Every type that a kernel may take.
const std::vector<DType>& AllTypes();

// Type and shape of a value that may be no tensor (then kUndefined); `known` is false when the rank is not
// known. Dimensions that are not known are -1.
struct TypeAndShape {
  DType type = DType::kUndefined;
  bool known = false;
  Shape shape;
};
TypeAndShape ReadType(const OrtTypeInfo* type);

// The elements of a CPU tensor, copied.
Attrs::TensorValue ReadTensor(const OrtValue* value);

// Logs through `logger` (may be nullptr) when it takes messages of this level.
void Log(const OrtLogger* logger, OrtLoggingLevel level, const std::string& message);
bool Logs(const OrtLogger* logger, OrtLoggingLevel level);

}  // namespace daybreak
