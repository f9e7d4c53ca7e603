"""Which execution provider runs which node of a model, and why others declined."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnxruntime as ort

from .library import EP_NAME, OWN_EP_NAME

_RECORD = "session.record_ep_graph_assignment_info"
_EXPLAIN_OPTION = "explainFile"


@dataclass(frozen=True)
class Node:
    """A node as the providers were asked for it; `reason` says why Daybreak left it to another provider.

    Nodes that Daybreak runs as one have the same `group`, and `fused` is the operator that computes them.
    """

    name: str
    op: str
    domain: str
    ep: str
    reason: str = ""
    fused: str = ""
    group: str = ""


def recording() -> ort.SessionOptions:
    """Session options that make `assigned` possible."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # the placement is shown, so it needs no warning
    options.add_session_config_entry(_RECORD, "1")
    return options


def assigned(session: ort.InferenceSession) -> list[Node]:
    """The nodes of a session made with `recording()`, in the order of their assignment."""
    return [
        Node(node.name, node.op_type, node.domain, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def counts(nodes: list[Node]) -> dict[str, Counter[str]]:
    """Number of nodes by operator, for each provider."""
    result: dict[str, Counter[str]] = {}
    for node in nodes:
        result.setdefault(node.ep, Counter())[node.op] += 1
    return result


def explain(model: Path, device: int = 0, options: Mapping[str, str] | None = None) -> list[Node]:
    """Creates a session on Daybreak and returns its nodes with the reasons that the plugin gave."""
    from .library import create_session

    with tempfile.TemporaryDirectory(prefix="daybreak-") as folder:
        file = Path(folder) / "explain.jsonl"
        session = create_session(
            model,
            device=device,
            options={**(options or {}), _EXPLAIN_OPTION: str(file)},
            session_options=recording(),
        )
        lines = _read_lines(file)
    result = []
    for n in assigned(session):
        line = lines.get((n.name, n.op), {})
        if n.ep in (EP_NAME, OWN_EP_NAME):
            line = {key: value for key, value in line.items() if key in ("fused", "group")}
        shown = {key: line.get(key, "") for key in ("reason", "fused", "group")}
        result.append(replace(n, **shown))
    return result


def _read_lines(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    """What the plugin says by (node name, operator); the last line of a node counts."""
    if not file.is_file():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {(line["node"], line["op"]): line for line in lines}
