#include "ep/explain.h"

#include <cstdio>
#include <fstream>

namespace daybreak {
namespace {

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string Line(const Session& session, const Candidate& node) {
  const NodeView& view = node.node.view;
  std::string ep = session.ep_name;
  if (node.row == nullptr) ep = node.assigned.empty() ? "CPUExecutionProvider" : node.assigned;
  const std::string fused =
      node.fused.empty() ? ""
                         : Join(", \"fused\": ", Quoted(node.fused), ", \"group\": ", Quoted(node.group));
  return Join("{\"node\": ", Quoted(view.name), ", \"op\": ", Quoted(view.op),
              ", \"domain\": ", Quoted(view.domain), ", \"ep\": ", Quoted(ep),
              ", \"reason\": ", Quoted(node.reason), fused, "}\n");
}

}  // namespace

void Explain(const Session& session, const std::vector<Candidate>& nodes) {
  const std::string& path = session.options.Text("explainFile");
  std::string lines;
  for (const Candidate& node : nodes) {
    // ORT asks again when it has replaced a node by its function; the others are known.
    if (node.assigned == session.ep_name || node.assigned == "CPUExecutionProvider") continue;
    if (!path.empty()) lines += Line(session, node);
    const NodeView& view = node.node.view;
    if (node.row == nullptr)
      Log(session.logger, ORT_LOGGING_LEVEL_INFO,
          Join("Daybreak leaves ", view.op, " node '", view.name, "': ", node.reason, "."));
  }
  if (path.empty()) return;
  std::ofstream file(path, std::ios::app);
  file << lines;
  file.flush();
  Check(file.good(), "The option explainFile names '", path, "', which cannot be written.");
}

}  // namespace daybreak
