"""The trace file: ONNX Runtime's events and the GPU's, each on their own track."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .events import Profile, is_kernel


def write_trace(profile: Profile, device: str, path: Path) -> None:
    """Writes the Trace Event Format, which Perfetto and chrome://tracing open. `device` names the GPU's track.

    Events of one track may not overlap there, so that a kernel which starts before the end of the one before it
    is drawn from that end on; its arguments keep the time measured.
    """
    host = [e for e in profile.events if not is_kernel(e)]
    kernels = sorted((e for e in profile.events if is_kernel(e)), key=lambda e: float(e["ts"]))
    gpu = max((int(e.get("pid", 0)) for e in profile.events), default=0) + 1
    names = [_name(gpu, "GPU"), _name(gpu, device, thread=1)]
    names += [_name(pid, "ONNX Runtime") for pid in sorted({int(e.get("pid", 0)) for e in host})]
    end, events = 0.0, []
    for event in kernels:
        stop = float(event["ts"]) + int(event["args"]["duration_ns"]) / 1000
        start = max(float(event["ts"]), end)
        end = max(stop, start)
        events.append({**event, "pid": gpu, "tid": 1, "ts": start, "dur": round(end - start, 3)})
    content = {"displayTimeUnit": "ns", "traceEvents": [*names, *host, *events]}
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _name(pid: int, name: str, thread: int | None = None) -> dict[str, Any]:
    kind = "process_name" if thread is None else "thread_name"
    return {"ph": "M", "name": kind, "pid": pid, "tid": thread or 0, "args": {"name": name}}
