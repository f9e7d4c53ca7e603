"""The example programs run as their README says and print right numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
WEIGHT = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = relu(x W) for x [batch, 16]."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Relu", ["xw"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "example", [x], [y], [numpy_helper.from_array(WEIGHT, "w")])
    path = tmp_path_factory.mktemp("example") / "model.onnx"
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(data.SerializeToString())
    return path


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_python(model: Path, library: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(library)}
    shown = run(sys.executable, ROOT / "examples/python/run_model.py", model, env=env)
    assert shown.startswith("device 0: ")
    x = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)
    mean = re.search(r"^y: shape \(1, 4\), mean (\S+)$", shown, re.M)
    assert mean, shown
    assert float(mean[1]) == pytest.approx(np.maximum(x @ WEIGHT, 0).mean(), abs=1e-5)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    run("cmake", "-S", ROOT / "examples/cpp", "-B", build, "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    return build / "run_model"


def test_cpp(program: Path, model: Path, library: Path) -> None:
    shown = run(program, library.resolve(), model)
    assert re.search(r"^device: \S+", shown, re.M)
    values = re.search(r"^y: shape \( 1 4 \), values (.*)$", shown, re.M)
    assert values, shown
    x = (np.arange(16) % 7).astype(np.float32)
    got = np.array(values[1].split(), np.float32)
    np.testing.assert_allclose(got, np.maximum(x @ WEIGHT, 0), rtol=1e-4, atol=1e-4)
    memory = re.search(r"^memory: (.*)$", shown, re.M)
    assert memory, shown
    words = memory[1].split()
    stats = {key: int(value) for key, value in zip(words[::2], words[1::2], strict=True)}
    assert stats["InUseWeights"] >= WEIGHT.nbytes
    assert stats["InUse"] == stats["InUseTensors"] + stats["InUseWeights"] + stats["InUseScratch"]
    assert stats["InUse"] <= stats["MaxInUse"] <= stats["TotalAllocated"]
    assert stats["Limit"] == 0
    assert stats["NumAllocs"] > 0


def test_cpp_reports_errors(program: Path, model: Path, library: Path) -> None:
    for arguments, code, text in [
        ([], 2, "usage:"),
        (["/nowhere.so", str(model)], 1, "error: .*nowhere"),
        ([str(library.resolve()), "/nowhere.onnx"], 1, "error: .*nowhere"),
    ]:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        assert re.search(text, done.stderr)
