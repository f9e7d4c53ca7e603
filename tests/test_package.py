"""The Python package as a library: registration, devices and sessions, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import gguf_files
from helpers.gguf_files import Model
from onnxruntime_ep_daybreak.convert import convert

ROOT = Path(__file__).resolve().parent.parent

PRELUDE = """
import sys
import numpy as np, onnxruntime as ort
import onnxruntime_ep_daybreak as db
from onnx import TensorProto, helper

def model():
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Mul", ["x", "x"], ["y"])]
    x, y = info("x", TensorProto.FLOAT, ["n"]), info("y", TensorProto.FLOAT, ["n"])
    opsets = [helper.make_opsetid("", 17)]
    graph = helper.make_graph(nodes, "square", [x], [y])
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

def square(session):
    return session.run(None, {"x": np.arange(5, dtype=np.float32)})[0].tolist()

def strict():
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options

EXPECTED = [0, 1, 4, 9, 16]
"""

REGISTRATION = """
assert db.get_ep_name() == "WebGpuExecutionProvider" and db.get_ep_names() == [db.get_ep_name()]
assert not db.is_registered()
db.register()
db.register()
assert db.is_registered()
found = db.devices()
assert found and all(d.ep_name == db.get_ep_name() for d in found)
assert [db.is_software(d) for d in found] == sorted(db.is_software(d) for d in found)
assert db.device_label(found[0]).startswith(found[0].ep_metadata["name"])
session = db.create_session(model(), session_options=strict())
assert session.get_providers()[0] == db.get_ep_name()
assert square(session) == EXPECTED
del session, found
db.unregister()
assert not db.is_registered()
assert not [d for d in ort.get_ep_devices() if d.ep_name == db.get_ep_name()]
db.register()
assert square(db.create_session(model(), session_options=strict())) == EXPECTED
"""

OWN_NAME = """
db.register("DaybreakExecutionProvider")
(device,) = db.devices()[:1]
assert device.ep_name == "DaybreakExecutionProvider"
options = strict()
options.enable_mem_pattern = False
session = db.create_session(model(), session_options=options)
assert session.get_providers()[0] == "DaybreakExecutionProvider"
assert square(session) == EXPECTED
"""

REGISTERED_ELSEWHERE = """
ort.register_execution_provider_library("mine", db.get_library_path())
assert square(db.create_session(model(), session_options=strict())) == EXPECTED
"""

ERRORS = """
def fails(call, text):
    try:
        call()
    except db.DaybreakError as e:
        assert text in str(e), e
    else:
        raise AssertionError(f"no error with {text!r}")

fails(lambda: db.create_session(model(), device=99), "there is no device 99")
import os
os.environ["DAYBREAK_LIBRARY"] = "/nowhere.so"
fails(db.get_library_path, "/nowhere.so, which does not exist")
"""

BOTH_RUNTIMES = """
from onnxruntime_ep_daybreak.generation import LanguageModel, Sampling
db.register()
session = db.create_session(model(), session_options=strict())
assert square(session) == EXPECTED
lm = LanguageModel(sys.argv[1])
tokens = list(lm.stream([5, 6, 7], Sampling(max_tokens=5)))
assert square(session) == EXPECTED
assert tokens == list(LanguageModel(sys.argv[1], "cpu").stream([5, 6, 7], Sampling(max_tokens=5)))
assert lm.device == db.device_label(db.devices()[0])
"""


def run(program: str, library: Path, *arguments: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(library.resolve())}
    command = [sys.executable, "-c", PRELUDE + program, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "program",
    [REGISTRATION, OWN_NAME, REGISTERED_ELSEWHERE, ERRORS],
    ids=["registration", "own name", "registered elsewhere", "errors"],
)
def test_library_use(program: str, library: Path) -> None:
    run(program, library)


def test_beside_a_second_onnxruntime(library: Path, tmp_path: Path) -> None:
    """onnxruntime-genai brings its own; sessions of both live in one process."""
    source = gguf_files.write(Model(), tmp_path / "tiny.gguf")
    convert(source, tmp_path / "model", dtype="f32")
    run(BOTH_RUNTIMES, library, str(tmp_path / "model"))
