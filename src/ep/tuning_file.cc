#include "ep/tuning_file.h"

#include <fstream>
#include <iterator>

namespace daybreak {

void LoadTuning(Session& session) {
  if (const std::string& path = session.options.Text("storeTuning"); !path.empty()) {
    std::ifstream file(path, std::ios::binary);
    Check(file.good(), "The option storeTuning names '", path, "', which cannot be read.");
    session.device->StoreTuning({std::istreambuf_iterator<char>(file), {}});
  }
  if (session.options.Flag("enableTuning")) session.tuning.kept = ParseTuning(session.device->LoadTuning());
}

void WriteTuningFile(const Session& session) {
  const std::string& path = session.options.Text("tuningFile");
  if (path.empty()) return;
  std::ofstream file(path, std::ios::binary);
  for (const Family* family : Families())
    for (const char* variants : family->choices) file << "try\t" << family->name << '\t' << variants << '\n';
  for (const auto& [problem, applied] : session.tuning.problems)
    file << "problem\t" << problem << '\t' << applied << '\n';
  file << "kept\n" << session.device->LoadTuning();
  file.flush();
  Check(file.good(), "The option tuningFile names '", path, "', which cannot be written.");
}

}  // namespace daybreak
