// Graph capture: a run of the model recorded once for each gpu_graph_id and replayed afterwards.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "ep/session.h"

namespace daybreak {

class Capture {
 public:
  explicit Capture(Session& session) : session_(session) {}
  ~Capture();

  // At the start of a run: begins to record unless capture is off or the run's gpu_graph_id is -1. Throws
  // when that option is no number.
  void Begin(const OrtRunOptions* options);
  // At the end of a run that was recorded: keeps the recording and executes it.
  void End();

  bool Has(int id) const { return graphs_.contains(id); }
  // Throws when there is no recording of this id.
  void Replay(int id, const std::vector<Timings*>& timings);
  // Does nothing when there is no recording of this id.
  void Release(int id);

 private:
  struct Graph {
    std::shared_ptr<Recording> recording;
    std::vector<void*> constants;  // device memory that it reads
  };
  void Free(Graph& graph) noexcept;

  Session& session_;
  std::map<int, Graph> graphs_;
  int id_ = -1;  // of the run that is being recorded
};

}  // namespace daybreak
