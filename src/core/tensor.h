// A tensor as operators see it: type, shape, and where its bytes are.
#pragma once

#include <span>

#include "core/dtype.h"
#include "core/shape.h"

namespace daybreak {

// Bytes on the GPU: a pool buffer (by its stable id) and a range in it. Operators only compare them.
struct BufferRange {
  void* address = nullptr;  // device address, in the reserved range that no CPU access may touch
  size_t bytes = 0;         // size of the tensor

  friend bool operator==(const BufferRange&, const BufferRange&) = default;
};

struct Tensor {
  DType type = DType::kUndefined;
  Shape shape;
  BufferRange device;          // set unless the tensor lies in CPU memory
  const void* host = nullptr;  // set for inputs that the row lists under `host`
  void* host_out = nullptr;    // set for outputs that the row lists under `host_out`

  int64_t count() const { return Count(shape); }
  size_t bytes() const { return BytesOf(type, static_cast<size_t>(count())); }

  // The elements of a CPU tensor; T must have the element's size.
  template <class T>
  std::span<const T> Host() const {
    Check(count() == 0 || host != nullptr, "A tensor that the operator reads on the CPU is on the device.");
    Check(BitsOf(type) == 8 * sizeof(T), "A CPU tensor of type ", NameOf(type),
          " is read with another size.");
    return {static_cast<const T*>(host), static_cast<size_t>(count())};
  }
  template <class T>
  std::span<T> HostOut() const {
    Check(count() == 0 || host_out != nullptr,
          "An output that the operator writes on the CPU is on the device.");
    return {static_cast<T*>(host_out), static_cast<size_t>(count())};
  }
};

// The elements of a CPU tensor of type i32 or i64 as i64 (shapes, axes, pads, ...).
FixedVec<int64_t, 64> HostInts(const Tensor& tensor);

}  // namespace daybreak
