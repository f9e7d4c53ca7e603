// A dispatch is plain data: shader, constants, bindings, parameters, grid. It can be tested, captured and
// timed.
//
// The pipeline key is: shader name, constants, element types, views and widths of the bindings, names and
// kinds of the parameters. Nothing else reaches the shader text, so sizes belong into parameters and only
// hardware and layout choices into constants. All strings must have static storage (literals or constexpr
// tables).
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "core/device_info.h"
#include "core/fixed_vec.h"
#include "core/tensor.h"

namespace daybreak {

// WGSL text that enters the prelude as it is, for example a function built from a table of expressions.
struct Code {
  const char* text;
};

// A constant of the shader: bool, u32, i32 or f32 value (`const NAME = ...;`), or a type (`alias NAME =
// ...;`), or Code (the text itself; NAME only identifies it).
struct Const {
  const char* name;
  std::variant<bool, uint32_t, int32_t, float, const char*, Code> value;
};

enum class View : uint8_t {
  kTyped,   // elements of the tensor's type
  kRaw,     // elements of the unsigned type of the same size: bit-exact data movement for any type
  kWords,   // the bytes as u32 words (width 1, 2 or 4 words an element); quantised weights are read so
  kAtomic,  // outputs only: the bytes as atomic<u32> words
};

// What WGSL sees of a binding named x (see docs/architecture.md, "What the prelude declares"):
//   x_t     storage element; x_v  value type;  x_get(i) -> x_v  reads one element (width 1)
//   x_put(i, v)   writes one element of an output, for element types of 32 or 64 bits and f16 (width 1)
//   x_emit(word)  writes the x_per_thread elements of one storage word (or vector); the body defines
//                 fn x_at(i: u32) -> x_v and the parameter `size` (elements of x); for outputs of any type
// Storage: f32, f16, i32, u32 as themselves; i64, u64, f64 as vec2<u32> (low, high); bf16, i16, u16 two to a
// u32; i8, u8, bool four to a u32; i4, u4 eight to a u32. Values: f16 and bf16 are f32; i8, i16, i4 are i32;
// u8, u16, u4 are u32; bool is bool; 64-bit types are vec2<u32>.
struct Bind {
  const char* name;
  const Tensor* tensor;
  uint32_t width = 1;  // 1, 2 or 4 elements a vector, for f32, f16, i32, u32 and kWords
  View view = View::kTyped;
};

// Up to eight u32 (shapes, strides); the shader reads entry i with NAME_at(i).
using Ints = FixedVec<uint32_t, kMaxRank>;

// A run-time value that the shader reads as params.NAME (Ints: NAME_at(i)).
struct Param {
  const char* name;
  std::variant<uint32_t, int32_t, float, Ints> value;
};

// Workgroups along each axis. A one-dimensional grid (y = z = 1) may exceed 65,535: the queue folds it, and
// the shader takes the flat index from group_index(workgroup_id). Threads beyond the work must return.
struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

struct Dispatch {
  const char* shader = nullptr;  // name of the .wgsl file without its ending
  FixedVec<Const, 40> consts;
  FixedVec<Bind, 16> in;
  FixedVec<Bind, 8> out;  // read_write
  FixedVec<Param, 24> params;
  Grid grid;
  const Tensor* indirect = nullptr;  // three u32 on the device that replace `grid`
};

// Storage buffers that a dispatch binds on this device.
uint64_t BindingsOf(const Dispatch& dispatch, const DeviceInfo& device);

// Elements that one call of x_emit writes, for a binding of this type.
uint32_t PerThread(const Bind& bind);

// Elements as Ints; Errors when a value does not fit into u32 (strides of broadcast axes are 0).
Ints ToInts(const Shape& shape);

}  // namespace daybreak
