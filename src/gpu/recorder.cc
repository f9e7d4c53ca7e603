#include "gpu/recorder.h"

#include <cstring>
#include <utility>

namespace daybreak {
namespace {

BufferHandle Referenced(WGPUBuffer buffer) {
  if (buffer != nullptr) wgpu.BufferAddRef(buffer);
  return BufferHandle(buffer);
}

}  // namespace

HeldCommand Hold(const Command& command) {
  HeldCommand held{command, {}, {}};
  if (const auto* copy = std::get_if<CopyCommand>(&command)) {
    held.buffers[0] = Referenced(copy->from);
    held.buffers[1] = Referenced(copy->to);
  } else {
    const auto& dispatch = std::get<DispatchCommand>(command);
    wgpu.BindGroupAddRef(dispatch.group);
    held.group = BindGroupHandle(dispatch.group);
    held.buffers[0] = Referenced(dispatch.indirect);
  }
  return held;
}

void Recorder::EnsureEncoder() {
  if (encoder_) return;
  const WGPUCommandEncoderDescriptor descriptor{};
  encoder_ = CommandEncoderHandle(wgpu.DeviceCreateCommandEncoder(gpu_.device.get(), &descriptor));
}

WGPUComputePassEncoder Recorder::Pass(const WGPUPassTimestampWrites* writes) {
  if (pass_) return pass_.get();
  EnsureEncoder();
  const WGPUComputePassDescriptor descriptor{nullptr, {}, writes};
  pass_ = ComputePassHandle(wgpu.CommandEncoderBeginComputePass(encoder_.get(), &descriptor));
  pipeline_ = nullptr;
  group_ = nullptr;
  return pass_.get();
}

void Recorder::ClosePass() {
  if (!pass_) return;
  wgpu.ComputePassEncoderEnd(pass_.get());
  pass_ = {};
}

WGPUCommandEncoder Recorder::BetweenPasses() {
  ClosePass();
  EnsureEncoder();
  return encoder_.get();
}

uint32_t Recorder::PushUniform(const FixedVec<uint8_t, 256>& params) {
  const size_t at = CeilDiv<size_t>(uniforms_.size(), uniform_step_) * uniform_step_;
  uniforms_.resize(at + CeilDiv<size_t>(params.size(), 16) * 16);
  std::memcpy(uniforms_.data() + at, params.data(), params.size());
  return static_cast<uint32_t>(at);
}

void Recorder::Encode(const Command& command) {
  if (const auto* copy = std::get_if<CopyCommand>(&command))
    Copy(*copy);
  else
    Dispatch(std::get<DispatchCommand>(command));
}

void Recorder::Dispatch(const DispatchCommand& c) {
  WGPUComputePassEncoder pass = Pass();
  if (pipeline_ != c.pipeline) wgpu.ComputePassEncoderSetPipeline(pass, c.pipeline->Get());
  if (c.pipeline->recipe.uniform) {
    const uint32_t offset = PushUniform(c.params);
    wgpu.ComputePassEncoderSetBindGroup(pass, 0, c.group, 1, &offset);
    group_ = nullptr;
  } else {
    if (group_ != c.group) wgpu.ComputePassEncoderSetBindGroup(pass, 0, c.group, 0, nullptr);
    group_ = c.group;
    if (!c.params.empty()) wgpu.ComputePassEncoderSetImmediates(pass, 0, c.params.data(), c.params.size());
  }
  pipeline_ = c.pipeline;
  if (c.indirect != nullptr)
    wgpu.ComputePassEncoderDispatchWorkgroupsIndirect(pass, c.indirect, c.indirect_offset);
  else
    wgpu.ComputePassEncoderDispatchWorkgroups(pass, c.grid[0], c.grid[1], c.grid[2]);
  ++count_;
}

void Recorder::Copy(const CopyCommand& c) {
  wgpu.CommandEncoderCopyBufferToBuffer(BetweenPasses(), c.from, c.from_offset, c.to, c.to_offset, c.bytes);
  ++count_;
}

Encoded Recorder::Finish() {
  ClosePass();
  Encoded made{CommandBufferHandle(wgpu.CommandEncoderFinish(encoder_.get(), nullptr)),
               std::exchange(uniforms_, {})};
  encoder_ = {};
  count_ = 0;
  return made;
}

}  // namespace daybreak
