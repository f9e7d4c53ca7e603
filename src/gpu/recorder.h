// Commands to the GPU, and command buffers made of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

#include "gpu/pipelines.h"

namespace daybreak {

// One dispatch, resolved and ready to be encoded any number of times.
struct DispatchCommand {
  const Pipeline* pipeline = nullptr;
  WGPUBindGroup group = nullptr;
  FixedVec<uint8_t, 256> params;
  uint32_t grid[3] = {};
  WGPUBuffer indirect = nullptr;  // replaces `grid`
  uint64_t indirect_offset = 0;
};

// Offsets and bytes are multiples of 4.
struct CopyCommand {
  WGPUBuffer from = nullptr, to = nullptr;
  uint64_t from_offset = 0, to_offset = 0, bytes = 0;
};

using Command = std::variant<DispatchCommand, CopyCommand>;

// A command with references to what it names.
struct HeldCommand {
  Command command;
  BindGroupHandle group;
  BufferHandle buffers[2];
};
HeldCommand Hold(const Command& command);

// The sizes of submits. The first of a burst of commands is short, so that the GPU begins early; the others
// are longer by a factor, and each is submitted while the last is computed.
class Burst {
 public:
  struct Shape {
    uint32_t first, factor, most;  // commands, and what each submit has more than the last
  };
  explicit Burst(const Shape& shape) : shape_(shape) { Restart(); }
  void Restart() { size_ = std::min(shape_.first, shape_.most); }
  // Whether so many commands make a submit.
  bool Ends(uint32_t commands) {
    if (commands < size_) return false;
    size_ = std::min(shape_.factor * size_, shape_.most);
    return true;
  }

 private:
  Shape shape_;
  uint32_t size_ = 0;
};

// A command buffer, and the parameters that it finds in the buffer for uniforms.
struct Encoded {
  CommandBufferHandle commands;
  std::vector<uint8_t> uniforms;
};

// Encodes one command buffer after the other. Different recorders of a device may work on different threads,
// if the implementation allows it.
class Recorder {
 public:
  static constexpr uint64_t kUniformBytes = 256 << 10;

  // `uniform_step`: the alignment of dynamic offsets.
  Recorder(const Gpu& gpu, uint32_t uniform_step) : gpu_(gpu), uniform_step_(uniform_step) {}

  // Waits for the pipeline to be compiled.
  void Encode(const Command& command);
  void Dispatch(const DispatchCommand& command);
  // The open pass; `writes` are those of a new one.
  WGPUComputePassEncoder Pass(const WGPUPassTimestampWrites* writes = nullptr);
  void ClosePass();
  // For what goes between passes.
  WGPUCommandEncoder BetweenPasses();

  bool Empty() const { return !encoder_; }
  // Commands since Finish.
  uint32_t Count() const { return count_; }
  // The parameters of one more dispatch may have no room.
  bool Full() const { return uniforms_.size() + 1024 > kUniformBytes; }
  Encoded Finish();

 private:
  void Copy(const CopyCommand& command);
  void EnsureEncoder();
  uint32_t PushUniform(const FixedVec<uint8_t, 256>& params);

  const Gpu& gpu_;
  const uint32_t uniform_step_;
  CommandEncoderHandle encoder_;
  ComputePassHandle pass_;
  uint32_t count_ = 0;
  const Pipeline* pipeline_ = nullptr;  // set in the open pass
  WGPUBindGroup group_ = nullptr;
  std::vector<uint8_t> uniforms_;
};

}  // namespace daybreak
