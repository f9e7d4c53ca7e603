#include "ep/memory_file.h"

#include <fstream>

namespace daybreak {

void WriteMemoryFile(const Session& session) {
  const std::string& path = session.options.Text("memoryFile");
  if (path.empty()) return;
  const MemoryStats stats = session.device->Memory();
  const auto in_use = [&](MemoryKind kind) { return stats.in_use[static_cast<size_t>(kind)]; };
  std::ofstream file(path);
  file << Join("{\"tensors\": ", in_use(MemoryKind::kTensor), ", \"weights\": ", in_use(MemoryKind::kWeight),
               ", \"scratch\": ", in_use(MemoryKind::kScratch), ", \"peak\": ", stats.peak,
               ", \"reserved\": ", stats.reserved, ", \"allocations\": ", stats.allocations, "}\n");
  file.flush();
  Check(file.good(), "The option memoryFile names '", path, "', which cannot be written.");
}

}  // namespace daybreak
