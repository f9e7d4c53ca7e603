#include "ep/capture.h"

#include <charconv>
#include <cstring>

namespace daybreak {
namespace {

// The id of the run's graph; ORT itself takes 0 when the run does not name one.
int GraphId(const OrtRunOptions* options) {
  const char* text = options ? api.ort->GetRunConfigEntry(options, "gpu_graph_id") : nullptr;
  if (text == nullptr) return 0;
  int id = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, id);
  if (error != std::errc() || at != end || id < -1)
    throw OrtError(ORT_INVALID_ARGUMENT, Join("The run option gpu_graph_id is '", text,
                                              "'. Valid: -1 (run without capture), 0, 1, ..."));
  return id;
}

}  // namespace

void Capture::Begin(const OrtRunOptions* options) {
  id_ = -1;
  if (Graph failed{nullptr, std::move(session_.constants)}; !failed.constants.empty()) Free(failed);
  session_.constants.clear();
  if (!session_.capture) return;
  const int id = GraphId(options);
  if (id < 0) return;
  session_.run.recording = session_.device->NewRecording();
  id_ = id;
}

void Capture::End() {
  const std::shared_ptr<Recording> recording = std::move(session_.run.recording);
  if (recording == nullptr) return;
  Release(id_);
  graphs_[id_] = {recording, std::exchange(session_.constants, {})};
  session_.device->Replay(*recording, session_.run.timings);
}

void Capture::Replay(int id, const std::vector<Timings*>& timings) {
  const auto found = graphs_.find(id);
  Check(found != graphs_.end(), "No graph was captured with gpu_graph_id ", id, ".");
  session_.device->Replay(*found->second.recording, timings);
}

void Capture::Release(int id) {
  if (auto graph = graphs_.extract(id)) Free(graph.mapped());
}

void Capture::Free(Graph& graph) noexcept {
  for (void* address : graph.constants) session_.device->Free(address);
}

Capture::~Capture() {
  for (auto& [id, graph] : graphs_) Free(graph);
}

}  // namespace daybreak
