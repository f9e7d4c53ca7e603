"""Graph capture and replay through ONNX Runtime's API."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest
from helpers.bound import Bound
from helpers.process import resident, run_python
from helpers.run import Daybreak, cpu_session
from helpers.small import chain, rolled
from helpers.threads import in_threads

ROOT = Path(__file__).resolve().parent.parent
SIZE = 1000
CAPTURE = {"enableGraphCapture": "1"}


def parse(text: str) -> bytes:
    header = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>'
    model: bytes = onnx.parser.parse_model(header + text).SerializeToString()
    return model


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SIZE, np.float32)


def captured(daybreak: Daybreak, length: int) -> tuple[ort.InferenceSession, Bound]:
    session = daybreak.session(chain(length, SIZE), CAPTURE)
    return session, Bound(daybreak, session, vector(0)).fix_outputs(daybreak, [vector(0)])


def test_first_run_and_replays_are_right(daybreak: Daybreak) -> None:
    _, bound = captured(daybreak, 5)
    for seed in range(4):
        x = vector(seed)
        np.testing.assert_array_equal(bound.run(x)[0], rolled(x, 5))


def test_several_graphs_interleaved(daybreak: Daybreak) -> None:
    session, first = captured(daybreak, 3)
    second = Bound(daybreak, session, vector(0)).fix_outputs(daybreak, [vector(0)])
    for seed, (bound, graph) in enumerate([(first, 0), (second, 7), (first, 0), (second, 7), (first, 0)]):
        x = vector(seed)
        np.testing.assert_array_equal(bound.run(x, graph=graph)[0], rolled(x, 3))


def test_runs_without_capture_in_between(daybreak: Daybreak) -> None:
    session, bound = captured(daybreak, 3)
    other = Bound(daybreak, session, vector(0)).fix_outputs(daybreak, [vector(0)])
    for seed, (used, graph) in enumerate([(other, -1), (bound, 0), (other, -1), (bound, 0), (bound, -1)]):
        x = vector(seed)
        np.testing.assert_array_equal(used.run(x, graph=graph)[0], rolled(x, 3))


def test_release_and_capture_again(daybreak: Daybreak) -> None:
    session, first = captured(daybreak, 3)
    first.run(vector(1), graph=2)
    session.release_captured_graph(2)
    session.release_captured_graph(99)  # there is none: nothing to do
    second = Bound(daybreak, session, vector(0)).fix_outputs(daybreak, [vector(0)])
    for seed in (4, 5):
        x = vector(seed)
        np.testing.assert_array_equal(second.run(x, graph=2)[0], rolled(x, 3))


def test_replays_and_released_graphs_leave_nothing_behind(daybreak: Daybreak) -> None:
    size = 500_000
    session = daybreak.session(chain(6, size), CAPTURE)
    x = np.random.default_rng(1).standard_normal(size, np.float32)
    bound = Bound(daybreak, session, x).fix_outputs(daybreak, [x])

    def cycle() -> None:
        for _ in range(3):
            bound.run(x)
        session.release_captured_graph(0)

    for _ in range(3):
        cycle()
    before = resident()
    for _ in range(15):
        cycle()
    grown = resident() - before
    assert grown < 24 << 20, f"15 captures leave {grown >> 20} MiB behind"


def test_sessions_replay_in_threads(daybreak: Daybreak) -> None:
    """Each reads after every run, with what the others submit in between."""

    def body(index: int) -> None:
        length = (3, 40, 150)[index % 3]
        session = daybreak.session(chain(length, SIZE), CAPTURE if index < 3 else {})
        bound = Bound(daybreak, session, vector(0)).fix_outputs(daybreak, [vector(0)])
        for run in range(40):
            x = vector(1000 * index + run)
            np.testing.assert_array_equal(bound.run(x)[0], rolled(x, length))

    in_threads(6, body)


@pytest.mark.parametrize("graph", ["-2", "99999999999"])
def test_bad_graph_id(graph: str, daybreak: Daybreak) -> None:
    _, bound = captured(daybreak, 1)
    with pytest.raises(Exception, match=r"gpu_graph_id|-?\d+"):
        bound.run(vector(0), graph=int(graph))
    np.testing.assert_array_equal(bound.run(vector(3))[0], rolled(vector(3), 1))


SHAPE_TO_GPU = """
g (int64[b, t] mask, float[n, k] x) => (float[k] y) <int64 one = {1}> {
  [shape] s = Shape (mask)
  [total] t = Gather <axis = 0> (s, one)
  [pick] p = Gather <axis = 0> (x, t)
  [flat] y = Squeeze (p)
}"""
SHAPE_TO_CPU = """
g (float[n, k] x) => (float[a, b] y) <int64 one = {1}, int64[1] axes = {0}, int64[1] rest = {-1}> {
  [shape] s = Shape (x)
  [pick] t = Gather <axis = 0> (s, one)
  [wide] u = Unsqueeze (t, axes)
  [target] c = Concat <axis = 0> (u, rest)
  [reshape] y = Reshape (x, c)
}"""
FEEDS = {
    "gpu": [np.ones((1, 3), np.int64), np.arange(24, dtype=np.float32).reshape(6, 4)],
    "cpu": [np.arange(24, dtype=np.float32).reshape(6, 4)],
}


@pytest.mark.parametrize(
    ("text", "feeds"), [(SHAPE_TO_GPU, "gpu"), (SHAPE_TO_CPU, "cpu")], ids=["gpu", "cpu"]
)
def test_shape_computation(text: str, feeds: str, daybreak: Daybreak) -> None:
    """Shapes stay on the CPU where the CPU reads them, and go to the GPU where the GPU does."""
    model, inputs = parse(text), FEEDS[feeds]
    session = daybreak.session(model, CAPTURE, fallback=True)
    want = cpu_session(model).run(
        None, {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)}
    )
    bound = Bound(daybreak, session, *inputs).fix_outputs(daybreak, want)
    for _ in range(3):
        for got, expected in zip(bound.run(*inputs), want, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_what_cannot_be_captured_is_named(library: Path) -> None:
    text = """
    g (float[2, 2] x) => (float[2] y) <int64[1] two = {2}> {
      [turn] t = Transpose (x)
      [determinant] d = Det (t)
      [wide] y = Expand (d, two)
    }"""
    run = run_python(
        f"""
        ort.set_default_logger_severity(3)
        ort.register_execution_provider_library("WebGPU", LIBRARY)
        device = [d for d in ort.get_ep_devices() if "CPU" not in d.ep_name and "Azure" not in d.ep_name][0]
        so = ort.SessionOptions()
        so.add_provider_for_devices([device], {{"enableGraphCapture": "1"}})
        try:
            ort.InferenceSession({parse(text)!r}, so, enable_fallback=0)
        except Exception as e:
            print("refused:", e)
        """,
        library,
    )
    assert run.returncode == 0, run.stderr
    assert "refused:" in run.stdout
    assert (
        "Det node 'determinant' (on the CPU: no kernel for this operator) reads on the CPU what" in run.stderr
    )
    assert "Expand node 'wide' reads on the GPU what Det node 'determinant'" in run.stderr


def test_the_example_of_the_page_runs(library: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs/graph-capture.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    text = "g (float[1, 8] x) => (float[1, 8] y) { y = Neg (x) }"
    (tmp_path / "model.onnx").write_bytes(parse(text))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(library)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[[-1. -1. -1. -1. -1. -1. -1. -1.]]"


def test_the_program_of_the_page_runs(library: Path, tmp_path: Path) -> None:
    """The C++ program compiles without warnings against ONNX Runtime's headers, records and replays."""
    page = (ROOT / "docs/graph-capture.md").read_text()
    (code,) = re.findall(r"```cpp\n(.*?)```", page, re.S)
    (tmp_path / "capture.cc").write_text(code)
    (tmp_path / "model.onnx").write_bytes(parse("g (float[1, 8] x) => (float[1, 8] y) { y = Neg (x) }"))
    runtime = next(Path(ort.__file__).parent.glob("capi/libonnxruntime.so.*.*"))
    (tmp_path / "libonnxruntime.so.1").symlink_to(runtime)
    command = ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "capture.cc", "libonnxruntime.so.1"]
    command += [
        "-isystem",
        str(ROOT / ".deps/include/onnxruntime"),
        f"-Wl,-rpath,{tmp_path}",
        "-o",
        "capture",
    ]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    program = [str(tmp_path / "capture"), str(library.resolve()), "model.onnx"]
    run = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["-0", "-1", "-2"]


def test_control_flow_is_refused(daybreak: Daybreak) -> None:
    text = """
    g (bool c, float[4] x) => (float[4] y) {
      y = If (c) <
        then_branch = a () => (float[4] p) { p = Identity (x) },
        else_branch = b () => (float[4] q) { q = Concat <axis = 0> (x) }
      >
    }"""
    with pytest.raises(Exception, match="control flow"):
        daybreak.session(parse(text), CAPTURE, fallback=True)
