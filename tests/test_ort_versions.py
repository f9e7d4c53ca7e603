"""The same plugin in the oldest, a middle and the newest ONNX Runtime, and in the one that development uses.

The versions lie in .deps/ort (tools/setup/runtimes.txt); each run is a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers import small_models
from helpers.small import one_node

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = re.findall(r"^onnxruntime==(\S+)", (ROOT / "tools/setup/runtimes.txt").read_text(), re.M)
MODELS = {
    "decoder": small_models.decoder,
    "float_block": small_models.float_block,
    "branches": small_models.branches,
}


def probe(version: str, library: Path, model: small_models.SmallModel, folder: Path) -> tuple[dict, Counter]:
    """What helpers/probe.py reports, and how often each operator is in the graph that ran."""
    (folder / "model.onnx").write_bytes(model.data)
    np.savez(folder / "feeds.npz", **model.feeds)
    runtime = ROOT / ".deps/ort" / version
    environment = dict(os.environ)
    if version != ort.__version__:
        assert runtime.is_dir(), f"{runtime} is missing: run 'make setup'"
        environment["PYTHONPATH"] = str(runtime)
    files = [library, folder / "model.onnx", folder / "feeds.npz", folder / "optimized.onnx"]
    script = ROOT / "tests/helpers/probe.py"
    run = subprocess.run(
        [sys.executable, script, *files], env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, f"exit code {run.returncode}\n{run.stdout}\n{run.stderr[-4000:]}"
    optimized = onnx.load(folder / "optimized.onnx")
    return json.loads(run.stdout.splitlines()[-1]), Counter(node.op_type for node in optimized.graph.node)


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("version", [*RUNTIMES, ort.__version__])
def test_model_in_version(version: str, name: str, dtype: type, library: Path, tmp_path: Path) -> None:
    model = MODELS[name](dtype)
    report, operators = probe(version, library, model, tmp_path)
    assert report["version"] == version
    assert report["finite"]
    wrong = {output: error for output, error in report["errors"].items() if error > model.tolerance}
    assert not wrong, f"relative errors above {model.tolerance}: {wrong}"
    assert operators["MemcpyToHost"] <= 2, f"the graph goes back to the CPU: {operators}"


def test_fused_operators_reach_the_plugin(library: Path, tmp_path: Path) -> None:
    """ORT fuses for the EP's name; the newest version must find kernels for what it makes."""
    _, operators = probe(RUNTIMES[-1], library, small_models.decoder(np.float32), tmp_path)
    assert operators["MatMulNBitsQkv"] == 2, operators
    assert operators["MatMulNBitsMlp"] == 2, operators


def test_two_copies_in_one_process(library: Path, tmp_path: Path) -> None:
    """The oldest and the newest ONNX Runtime at once, both with the plugin (onnxruntime-genai may bring its own)."""
    (tmp_path / "model.onnx").write_bytes(one_node("Neg", [(onnx.TensorProto.FLOAT, [1, 8])]))
    program = tmp_path / "two_runtimes"
    source, headers = ROOT / "tests/cpp/two_runtimes.cc", ROOT / ".deps/include/onnxruntime"
    subprocess.run(["c++", "-std=c++20", f"-I{headers}", source, "-ldl", "-o", program], check=True)
    copies = [next((ROOT / ".deps/ort" / v / "onnxruntime/capi").glob("libonnxruntime.so.*"))
              for v in (RUNTIMES[0], RUNTIMES[-1])]  # fmt: skip
    run = subprocess.run(
        [program, library, tmp_path / "model.onnx", *copies], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "done"
    assert run.stdout.count("ONNX Runtime ") == 2
