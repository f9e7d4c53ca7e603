"""Time and memory of loading a model whose weights are external data, through any WebGPU plugin.

usage: python bench/load.py LIBRARY MODEL.onnx [--repeat 3] [--prompt 512] [--options k=v,...] [--json FILE]

Each repetition is a fresh process that finds the file in the page cache. It opens the device with a session of one
node, then measures the session of the model: seconds, GB/s of the file, and the peaks of the process's anonymous and
mapped memory meanwhile. Then a language model runs a prompt and a token, twice, and the memory of the GPU is read: from
nvidia-smi where there is one (what the whole device uses, less what it used before), else as the process's shared
memory, where a software device keeps its buffers. Sizes are in bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fresh

KINDS = ("RssAnon", "RssFile", "RssShmem")


def resident() -> dict[str, int]:
    lines = (line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {key: int(value.split()[0]) * 1024 for key, value in lines if key in KINDS}


class Peaks(threading.Thread):
    """The most of each kind of resident memory while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = dict.fromkeys(KINDS, 0)
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.005):
            for key, value in resident().items():
                self.most[key] = max(self.most[key], value)


def gpu_used() -> int | None:
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]) << 20


def tiny_model() -> bytes:
    """y = x + x as bytes of a ModelProto, without the onnx package."""

    def field(number: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        return bytes([number << 3 | 2, len(value)]) + value

    info = field(1, field(1, 1) + field(2, field(1, field(1, 4))))  # f32[4]
    node = field(1, b"x") + field(1, b"x") + field(2, b"y") + field(3, b"n") + field(4, b"Add")
    value = [field(1, name) + field(2, info) for name in (b"x", b"y")]
    graph = field(1, node) + field(2, b"g") + field(11, value[0]) + field(12, value[1])
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def child(a: argparse.Namespace) -> dict[str, Any]:
    options = fresh.key_values(a.options)
    before = gpu_used()
    start = time.perf_counter()
    device = fresh.open_device(a.library)
    keep = fresh.open_session(tiny_model(), device, options)
    opened = time.perf_counter() - start
    base, peaks = resident(), Peaks()
    peaks.start()
    start = time.perf_counter()
    session = fresh.open_session(str(a.model), device, options)
    seconds = time.perf_counter() - start
    peaks.stop.set()
    peaks.join()
    model = fresh.Model(session, device, a.prompt + 64, {})
    if model.language:
        for _ in range(2):
            model.run(a.prompt)
            model.run(1, a.prompt)
    after = gpu_used()
    size = sum(p.stat().st_size for p in fresh.data_files(a.model))
    del keep
    return {
        "open_device_s": round(opened, 3),
        "load_s": round(seconds, 3),
        "gb_s": round(size / seconds / 1e9, 3),
        "file_bytes": size,
        "cache_bytes": model.cache_bytes(),
        "anonymous_peak_bytes": peaks.most["RssAnon"],
        "anonymous_before_bytes": base["RssAnon"],
        "mapped_peak_bytes": peaks.most["RssFile"],
        "gpu_bytes": after - before if after is not None and before is not None else resident()["RssShmem"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--options", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        print(json.dumps(child(a)))
        return

    load = os.getloadavg()[0]
    for path in fresh.data_files(a.model):
        with open(path, "rb") as file:
            while file.read(64 << 20):
                pass
    rows = []
    for _ in range(a.repeat):
        command = [sys.executable, __file__, *sys.argv[1:], "--child"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]))
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    fresh.report(a, "load.py", load, median, rows)


if __name__ == "__main__":
    main()
