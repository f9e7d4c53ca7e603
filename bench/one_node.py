"""What the benches of one node share: sessions on a plugin's device, the timing of runs, the command line, results."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import fresh
import onnxruntime as ort


class Plugin:
    """The first device of a WebGPU plugin. `place`: its memory, as OrtValues take it."""

    def __init__(self, library: str) -> None:
        self.device = fresh.open_device(library)
        self.names = {"library": Path(library).name, "device": self.device.ep_metadata.get("name", "")}
        vendor = self.device.memory_info(ort.OrtDeviceMemoryType.DEFAULT).device_vendor_id
        self.place = ("gpu", 0, vendor)

    def session(self, model: str | bytes, options: Mapping[str, str] | None = None) -> ort.InferenceSession:
        """A session none of whose nodes may run on the CPU."""
        so = ort.SessionOptions()
        so.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        so.add_provider_for_devices([self.device], dict(options or {}))
        return ort.InferenceSession(model, so, enable_fallback=0)

    def report(self, figures: Mapping[str, object]) -> dict[str, object]:
        """Prints a line of JSON with the figures and what they belong to, and returns it."""
        result = {**self.names, **figures}
        print(json.dumps(result), flush=True)
        return result


def seconds_of(run: Callable[[int], float], probe: int, least: int, budget: float = 0.5) -> float:
    """The median time of one run out of five series, each of about `budget` seconds and `least` to 400 runs.

    `run` takes a number of runs and returns the seconds of all; `probe` runs tell how many fit the budget.
    """
    count = max(least, min(400, int(budget / (run(probe) / probe))))
    return statistics.median(run(count) / count for _ in range(5))


def command_line(about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--json", help="write the results to this file as well")
    return parser


def write(results: list[dict[str, object]], path: str | None) -> None:
    if path:
        Path(path).write_text(json.dumps(results, indent=1) + "\n")
