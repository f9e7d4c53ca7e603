#include "ep/devices.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace daybreak {
namespace {

constexpr const char* kIndexKey = "adapter_index";

const char* ClassName(DeviceClass device_class) {
  switch (device_class) {
    case DeviceClass::kNvidia:
      return "nvidia";
    case DeviceClass::kAmd:
      return "amd";
    case DeviceClass::kIntel:
      return "intel";
    case DeviceClass::kApple:
      return "apple";
    case DeviceClass::kQualcomm:
      return "qualcomm";
    case DeviceClass::kSoftware:
      return "software";
    case DeviceClass::kOther:
      break;
  }
  return "other";
}

std::string MatrixText(const DeviceInfo& info) {
  std::string text;
  for (const MatrixConfig& c : info.matrices)
    text += Join(text.empty() ? "" : " ", NameOf(c.component), "->", NameOf(c.result), ":", c.m, "x", c.n,
                 "x", c.k);
  return text;
}

Own<OrtKeyValuePairs> Metadata(const WebGpu& gpu, const Adapter& adapter) {
  const DeviceInfo& info = adapter.info;
  const auto flag = [](bool value) { return std::string(value ? "1" : "0"); };
  return MakePairs({{kIndexKey, std::to_string(adapter.index)},
                    {"name", info.name},
                    {"backend", info.backend},
                    {"vendor", info.vendor},
                    {"architecture", info.architecture},
                    {"driver", info.driver},
                    {"device_class", ClassName(info.device_class)},
                    {"software", flag(info.software)},
                    {"webgpu_library", gpu.Library()},
                    {"webgpu_implementation", gpu.Implementation()},
                    {"f16", flag(info.f16)},
                    {"subgroups", flag(info.subgroups)},
                    {"subgroup_size", Join(info.subgroup_min, "..", info.subgroup_max)},
                    {"subgroup_matrices", MatrixText(info)},
                    {"timestamps", flag(info.timestamps)},
                    {"immediates", flag(info.immediates)},
                    {"max_workgroup_invocations", std::to_string(info.max_invocations)},
                    {"max_workgroup_memory", std::to_string(info.workgroup_bytes)},
                    {"max_storage_buffers", std::to_string(info.max_storage_buffers)},
                    {"max_storage_binding", std::to_string(info.max_binding)},
                    {"max_buffer", std::to_string(info.max_buffer)}});
}

const OrtHardwareDevice* FindHardware(std::span<const OrtHardwareDevice* const> hardware,
                                      const DeviceInfo& info, std::vector<const OrtHardwareDevice*>& taken) {
  for (const OrtHardwareDevice* device : hardware) {
    if (api.ort->HardwareDevice_Type(device) != OrtHardwareDeviceType_GPU || info.software) continue;
    if (api.ort->HardwareDevice_VendorId(device) != info.vendor_id) continue;
    if (api.ort->HardwareDevice_DeviceId(device) != info.device_id) continue;
    if (std::find(taken.begin(), taken.end(), device) != taken.end()) continue;
    taken.push_back(device);
    return device;
  }
  return nullptr;
}

Own<OrtHardwareDevice> MakeHardware(const DeviceInfo& info) {
  const auto metadata = MakePairs({{"Description", info.name}, {"software", info.software ? "1" : "0"}});
  return Make<OrtHardwareDevice>(api.ep->CreateHardwareDevice, OrtHardwareDeviceType_GPU, info.vendor_id,
                                 info.device_id, info.vendor.c_str(), metadata.get());
}

}  // namespace

std::vector<OrtEpDevice*> MakeDevices(OrtEpFactory* factory, const WebGpu& gpu, const Slots& slots,
                                      std::span<const OrtHardwareDevice* const> hardware, size_t room,
                                      std::vector<Own<OrtHardwareDevice>>& own) {
  std::vector<const OrtHardwareDevice*> taken;
  std::vector<Own<OrtEpDevice>> made;
  for (const auto& slot : slots) {
    if (made.size() == room) break;
    const DeviceInfo& info = slot->adapter().info;
    const OrtHardwareDevice* device = FindHardware(hardware, info, taken);
    if (device == nullptr) device = own.emplace_back(MakeHardware(info)).get();
    const auto metadata = Metadata(gpu, slot->adapter());
    made.push_back(Make<OrtEpDevice>(api.ep->CreateEpDevice, factory, device, metadata.get(), nullptr));
    Ok(api.ep->EpDevice_AddAllocatorInfo(made.back().get(), slot->memory()));
    Ok(api.ep->EpDevice_AddAllocatorInfo(made.back().get(), slot->read_only_memory()));
  }
  std::vector<OrtEpDevice*> released;
  for (auto& device : made) released.push_back(device.release());
  return released;
}

std::shared_ptr<Slot> SlotOf(const Slots& slots, const OrtKeyValuePairs* metadata) {
  const char* text = metadata ? api.ort->GetKeyValue(metadata, kIndexKey) : nullptr;
  Check(text != nullptr, "The device's metadata lack '", kIndexKey, "'.");
  size_t index = 0;
  std::from_chars(text, text + std::strlen(text), index);
  for (const auto& slot : slots)
    if (slot->adapter().index == index) return slot;
  Fail("There is no adapter ", text, ".");
}

}  // namespace daybreak
