"""The wheel, built as a user builds it and installed into a fresh virtual environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Runs in the fresh environment, away from the checkout.
MATMUL = """
import sys
import numpy as np, onnxruntime as ort
import onnxruntime_ep_daybreak as db

assert sys.prefix in db.__file__, db.__file__
db.register()
device = next(d for d in ort.get_ep_devices() if d.ep_name == db.get_ep_name())
options = ort.SessionOptions()
options.add_provider_for_devices([device], {})
options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
session = ort.InferenceSession(sys.argv[1], options)
rng = np.random.default_rng(0)
a, b = (rng.standard_normal(shape, np.float32) for shape in ((33, 70), (70, 19)))
(c,) = session.run(None, {"a": a, "b": b})
np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)
print("product is right")
"""


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def plain_environment() -> dict[str, str]:
    """This process's environment without what points into the checkout."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DAYBREAK_LIBRARY", "VIRTUAL_ENV")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Warnings are errors as in the other builds, so that ccache knows most of the objects already."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT]
    run(*command, "-C", "cmake.define.DAYBREAK_WERROR=ON", env=plain_environment())
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel and its requirements, in the versions of requirements.txt."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    pinned = re.findall(r"^([\w.-]+==[^\s\\]+)", (ROOT / "tools/setup/requirements.txt").read_text(), re.M)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pinned) + "\n")
    python = folder / "bin/python"
    run(python, "-m", "pip", "install", "-c", constraints, wheel, env=plain_environment())
    return python


def test_wheel_contents(wheel: Path) -> None:
    assert re.fullmatch(r"onnxruntime_ep_daybreak-[\d.]+-py3-none-(many)?linux\w*_x86_64\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {name.removeprefix("onnxruntime_ep_daybreak/") for name in names if ".dist-info/" not in name}
    wanted = {"libonnxruntime_ep_daybreak.so", "libwebgpu_dawn.so", "DAWN_LICENSES.txt", "__init__.py"}
    assert wanted <= package
    assert "py.typed" in package
    assert not [name for name in package if name.endswith((".cc", ".h", ".a", ".onnx", ".gguf"))]
    assert {"LICENSE", "THIRD_PARTY_NOTICES.md"} <= {Path(name).name for name in names}


def test_plugin_exports_its_two_functions_only(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        plugin = archive.extract("onnxruntime_ep_daybreak/libonnxruntime_ep_daybreak.so", tmp_path)
    exported = run("nm", "-D", "--defined-only", plugin).split("\n")
    assert {line.split()[-1] for line in exported if line} == {"CreateEpFactories", "ReleaseEpFactory"}
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", plugin))
    assert all(re.match(r"lib(c|m|dl|pthread|rt)\.so|ld-linux", name) for name in needed), needed


def test_matmul_out_of_the_wheel(python: Path, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    shapes = {"a": [33, 70], "b": [70, 19], "c": [33, 19]}
    a, b, c = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items())
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "matmul.py").write_text(MATMUL)
    command = [python, tmp_path / "matmul.py", tmp_path / "model.onnx"]
    assert "product is right" in run(*command, cwd=tmp_path, env=plain_environment())


def test_command_out_of_the_wheel(python: Path, tmp_path: Path) -> None:
    shown = run(python.parent / "daybreak", "info", cwd=tmp_path, env=plain_environment())
    assert str(python.parent.parent) in re.sub(r"\s", "", shown)  # the library's path, however it is wrapped
    assert "WebGpuExecutionProvider" in shown
