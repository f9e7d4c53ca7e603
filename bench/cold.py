"""Time to the first results of a fresh process, without and with what earlier ones left on disk, for any WebGPU plugin.

usage: python bench/cold.py LIBRARY MODEL.onnx [--prompt 512] [--repeat 3] [--dims name=n,...] [--options k=v,...]
                            [--json FILE]

Phases: `import` (ONNX Runtime), `register` (the plugin, and the devices that it reports), `session`, `first` (the first
run: a prompt, for a language model), `second` (the same again), `first_token` and `second_token` (one token after the
prompt). Seconds; medians. "empty" starts with no cache on disk, of the plugin (option cacheDir) or of the driver
(environment variables of Mesa and NVIDIA); "warm" with those of an earlier process that did the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parent))


def child(a: argparse.Namespace) -> dict[str, float]:
    import fresh

    options, phases, last = fresh.key_values(a.options), {}, STARTED

    def phase(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        phases[name] = round(now - last, 4)
        last = now

    phase("import")
    device = fresh.open_device(a.library)
    phase("register")
    session = fresh.open_session(str(a.model), device, options)
    phase("session")
    dims = {k: int(v) for k, v in fresh.key_values(a.dims).items()}
    model = fresh.Model(session, device, a.prompt + 64, dims)
    phases["first"] = round(model.run(a.prompt), 4)
    phases["second"] = round(model.run(a.prompt), 4)
    if model.language:
        phases["first_token"] = round(model.run(1, a.prompt), 4)
        phases["second_token"] = round(model.run(1, a.prompt + 1), 4)
    return phases


def run(a: argparse.Namespace, folder: str) -> dict[str, float]:
    """The phases of a fresh process that keeps its caches in `folder`."""
    options = a.options
    if "daybreak" in Path(a.library).name:
        options = ",".join([*filter(None, [options]), f"cacheDir={folder}/daybreak"])
    command = [sys.executable, __file__, a.library, str(a.model), "--child", "--prompt", str(a.prompt)]
    command += ["--dims", a.dims, "--options", options]
    caches = {"MESA_SHADER_CACHE_DIR": folder, "__GL_SHADER_DISK_CACHE_PATH": folder}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | caches)
    if done.returncode:
        sys.exit(done.stderr)
    phases: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return phases


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dims", default="")
    parser.add_argument("--options", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        print(json.dumps(child(a)))
        return
    import fresh

    load = os.getloadavg()[0]
    rows: dict[str, list[dict[str, float]]] = {"empty": [], "warm": []}
    for _ in range(a.repeat):
        with tempfile.TemporaryDirectory() as folder:
            for state, list_ in rows.items():
                list_.append(run(a, folder))
                print(state, json.dumps(list_[-1]), flush=True)
    median = {
        state: {key: statistics.median(row[key] for row in list_) for key in list_[0]}
        for state, list_ in rows.items()
    }
    fresh.report(a, "cold.py", load, median, rows)


if __name__ == "__main__":
    main()
