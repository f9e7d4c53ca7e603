// What graph capture asks of a graph.
#pragma once

#include <string>
#include <vector>

#include "ep/cpu_preferred.h"

namespace daybreak {

// Marks nodes whose results are written on the CPU (Shape, Size) and read by the GPU as `on_device`.
void SendShapesToDevice(std::vector<Candidate>& nodes);

// The nodes that keep a session from being captured, with the reason: control flow, and values that would
// have to move between CPU and device in the middle of a run.
std::vector<std::string> CaptureObstacles(const std::vector<Candidate>& nodes);

}  // namespace daybreak
