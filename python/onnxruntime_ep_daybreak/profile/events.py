"""What an ONNX Runtime profile says: its runs, and the kernels that ran on the GPU in each."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DaybreakError


@dataclass(frozen=True)
class Kernel:
    """One dispatch. Times in microseconds, on the time base of the profile. `problem` and `variant` are what tuning
    knows it by; dispatches of one device with the same `pipeline` run the same code."""

    start: float
    duration: float
    op: str
    node: str
    kernel: str
    variant: str
    problem: str
    shapes: str
    grid: str
    pipeline: str


@dataclass
class Run:
    """One call of Run, with the kernels that it launched."""

    start: float
    duration: float
    name: str = "run"
    kernels: list[Kernel] = field(default_factory=list)

    @property
    def busy(self) -> float:
        """Microseconds of GPU time."""
        return sum(k.duration for k in self.kernels)


@dataclass
class Profile:
    """All runs in the order of time, and the raw events that they come from."""

    runs: list[Run]
    events: list[dict[str, Any]]


def read(path: Path) -> Profile:
    """Reads a profile file. Raises DaybreakError where it holds no run or no kernel."""
    events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    starts = sorted((e for e in events if e.get("name") == "model_run"), key=lambda e: float(e["ts"]))
    runs = [Run(float(e["ts"]), float(e["dur"])) for e in starts]
    kernels = sorted(map(_kernel, filter(is_kernel, events)), key=lambda k: k.start)
    if not runs or not kernels:
        raise DaybreakError(
            "the profile has no GPU times: the device has no timestamps, or no node ran on it"
        )
    begins = [r.start for r in runs]
    for kernel in kernels:
        _run_of(kernel, runs, begins).kernels.append(kernel)
    return Profile(runs, events)


def _run_of(kernel: Kernel, runs: list[Run], begins: list[float]) -> Run:
    """The run in which a kernel's middle lies, or the nearest one: clocks of GPU and CPU agree to some microseconds
    only, but a profiled run ends after its kernels.
    """
    middle = kernel.start + kernel.duration / 2
    after = bisect.bisect_right(begins, middle)
    near = runs[max(after - 1, 0) : after + 1]
    return min(near, key=lambda r: max(r.start - middle, middle - r.start - r.duration, 0.0))


def is_kernel(event: dict[str, Any]) -> bool:
    """True for an event of Daybreak's, which stands for one dispatch."""
    return "duration_ns" in event.get("args", {}) and "kernel" in event["args"]


def _kernel(event: dict[str, Any]) -> Kernel:
    a = event["args"]
    return Kernel(
        float(event["ts"]),
        int(a["duration_ns"]) / 1000,
        a["op_name"],
        a["node"],
        a["kernel"],
        a["variant"],
        a["problem"],
        a["shapes"],
        a["grid"],
        a["pipeline"],
    )


@dataclass
class Share:
    """Kernels that have something in common."""

    key: tuple[str, ...]
    count: int = 0
    time: float = 0.0


def shares(kernels: Iterable[Kernel], key: Callable[[Kernel], tuple[str, ...]]) -> list[Share]:
    """Kernels grouped by `key`, the longest group first."""
    groups: dict[tuple[str, ...], Share] = {}
    for kernel in kernels:
        name = key(kernel)
        group = groups.setdefault(name, Share(name))
        group.count += 1
        group.time += kernel.duration
    return sorted(groups.values(), key=lambda g: -g.time)
