"""The HTML page: one file that needs nothing else, with a timeline, a roofline plot and tables."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from .ceilings import Ceilings
from .events import Kernel, Run, shares
from .record import Recording
from .work import work

# A page with more dispatches than this would be slow to draw.
_MOST_EVENTS = 60_000


def write_page(recording: Recording, about: str, ceilings: Ceilings | None, path: Path) -> None:
    """Writes the page; `about` is the line below its title."""
    text = json.dumps(page_data(recording, about, ceilings), separators=(",", ":")).replace("<", "\\u003c")
    folder = resources.files(__package__)
    page = (folder / "page.html").read_text(encoding="utf-8")
    script = (folder / "page.js").read_text(encoding="utf-8")
    path.write_text(page.replace("@SCRIPT@", script).replace("@DATA@", text), encoding="utf-8")


def page_data(recording: Recording, about: str, ceilings: Ceilings | None) -> dict[str, Any]:
    """What page.js reads. Times in microseconds; `kinds` are kernels at one shape in one phase."""
    runs = recording.profile.runs
    kinds: dict[tuple[str, ...], dict[str, Any]] = {}
    events: list[tuple[float, float, tuple[str, ...], str]] = []
    for run, step in zip(runs, recording.steps, strict=True):
        for kernel in run.kernels:
            key = (run.name, kernel.op, kernel.kernel, kernel.variant, kernel.shapes, kernel.grid)
            kind = kinds.setdefault(key, _kind(run, kernel, step.tokens))
            kind["count"] += 1
            kind["time"] += kernel.duration
            events.append((kernel.start, round(kernel.duration, 3), key, kernel.node))
    order = sorted(kinds, key=lambda key: -kinds[key]["time"])
    place = {key: i for i, key in enumerate(order)}
    kernels = [kernel for run in runs for kernel in run.kernels]
    return {
        "about": about,
        "ceilings": ceilings
        and {"bytes": ceilings.bytes_per_second, "flops": ceilings.flops, "dtype": ceilings.dtype},
        "phases": phases(runs),
        "operators": [
            {"name": s.key[0], "count": s.count, "time": s.time} for s in shares(kernels, lambda k: (k.op,))
        ],
        "kernelNames": [s.key[0] for s in shares(kernels, lambda k: (k.kernel,))],
        "kinds": [kinds[key] for key in order],
        "runs": [{"name": r.name, "start": r.start, "duration": r.duration} for r in runs],
        "host": _host(recording)[:_MOST_EVENTS],
        "events": [(start, dur, place[key], node) for start, dur, key, node in events[:_MOST_EVENTS]],
    }


def _host(recording: Recording) -> list[tuple[float, float, str]]:
    """What ONNX Runtime's executor does for each node in the measured runs."""
    begin = recording.profile.runs[0].start
    return [
        (float(e["ts"]), float(e["dur"]), e["name"].removesuffix("_kernel_time"))
        for e in recording.profile.events
        if e.get("cat") == "Node" and float(e["ts"]) >= begin
    ]


def phases(runs: list[Run]) -> list[dict[str, Any]]:
    """Runs of the same name together: number, dispatches, wall and GPU time."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        phase = found.setdefault(
            run.name, {"name": run.name, "runs": 0, "count": 0, "wall": 0.0, "busy": 0.0}
        )
        phase["runs"] += 1
        phase["count"] += len(run.kernels)
        phase["wall"] += run.duration
        phase["busy"] += run.busy
    return list(found.values())


def _kind(run: Run, kernel: Kernel, tokens: int) -> dict[str, Any]:
    moved, operations = work(kernel.op, kernel.kernel, kernel.shapes, tokens)
    return {
        "phase": run.name,
        "op": kernel.op,
        "kernel": kernel.kernel,
        "variant": kernel.variant,
        "shapes": kernel.shapes,
        "grid": kernel.grid,
        "bytes": moved,
        "flops": operations,
        "count": 0,
        "time": 0.0,
    }
