"""Sessions, threads and processes come and go, one by one and at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.again import run_table
from helpers.process import resident, run_python
from helpers.run import Daybreak, cpu_session
from helpers.small import chain, one_node, rolled
from helpers.threads import in_threads
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parent.parent
F32 = TensorProto.FLOAT
SIZE = 1000


def test_several_sessions_at_once(daybreak: Daybreak) -> None:
    sessions = [daybreak.session(chain(i + 1, SIZE)) for i in range(5)]
    x = np.random.default_rng(1).standard_normal(SIZE, np.float32)
    for _ in range(3):
        for i, session in enumerate(sessions):
            np.testing.assert_array_equal(session.run(None, {"x": x})[0], rolled(x, i + 1))


def test_sessions_in_threads(daybreak: Daybreak) -> None:
    def body(index: int) -> None:
        rng = np.random.default_rng(index)
        for _ in range(3):
            session = daybreak.session(chain(4, SIZE))
            for _ in range(10):
                x = rng.standard_normal(SIZE, np.float32)
                np.testing.assert_array_equal(session.run(None, {"x": x})[0], rolled(x, 4))

    in_threads(4, body)


def test_one_session_in_threads(daybreak: Daybreak) -> None:
    session = daybreak.session(chain(6, SIZE))

    def body(index: int) -> None:
        rng = np.random.default_rng(index)
        for _ in range(15):
            x = rng.standard_normal(SIZE, np.float32)
            np.testing.assert_array_equal(session.run(None, {"x": x})[0], rolled(x, 6))

    in_threads(4, body)


def test_sessions_in_a_loop_leave_nothing_behind(daybreak: Daybreak) -> None:
    size = 500_000
    x = np.random.default_rng(2).standard_normal(size, np.float32)

    def cycle() -> None:
        daybreak.session(chain(3, size)).run(None, {"x": x})

    for _ in range(40):  # until the pools are as full as they get
        cycle()
    before = resident()
    for _ in range(160):
        cycle()
    grown = resident() - before
    assert grown < 24 << 20, f"160 sessions leave {grown >> 20} MiB behind"


def test_runs_with_growing_shapes_leave_nothing_behind(daybreak: Daybreak) -> None:
    model = one_node("Concat", [(F32, ["a"]), (F32, ["b"])], axis=0)
    session = daybreak.session(model)
    one = np.zeros(64, np.float32)

    def grow(first: int, last: int) -> None:
        for n in range(first, last):
            session.run(None, {"x0": np.zeros(64 * n, np.float32), "x1": one})

    grow(0, 300)
    before = resident()
    grow(300, 900)
    grown = resident() - before
    assert grown < 24 << 20, f"600 runs leave {grown >> 20} MiB behind"


def test_unregister_and_register_again(library: Path) -> None:
    result = run_python(
        """
        for name in ("WebGPU", "WebGPU", "other"):
            ort.register_execution_provider_library(name, LIBRARY)
            s = session(chain(2, 100))
            s.run(None, {"x": np.zeros(100, np.float32)})
            del s
            ort.unregister_execution_provider_library(name)
            assert not [d for d in ort.get_ep_devices() if "WebGpu" in d.ep_name]
        print("done")
        """,
        library,
    )
    assert result.returncode == 0 and "done" in result.stdout, f"{result.returncode} {result.stderr[-2000:]}"


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit(0)", "del s", "ort.unregister_execution_provider_library('WebGPU')"]
)
def test_exit_in_any_order(end: str, library: Path) -> None:
    """With sessions and device values alive, and without unregistering."""
    result = run_python(
        f"""
        ort.register_execution_provider_library("WebGPU", LIBRARY)
        s = session(chain(2, 100))
        value = ort.OrtValue.ortvalue_from_numpy(np.zeros(100, np.float32), "gpu", 0, 0)
        s.run(None, {{"x": np.zeros(100, np.float32)}})
        print("ran", flush=True)
        {"del s, value; " if "unregister" in end else ""}{end}
        """,
        library,
    )
    assert result.returncode == 0 and "ran" in result.stdout, f"{result.returncode} {result.stderr[-2000:]}"


def test_own_name_beside_the_official_one(library: Path) -> None:
    """Registered as DaybreakExecutionProvider the EP takes that name, so that both plugins fit in one process."""
    result = run_python(
        """
        ort.register_execution_provider_library("DaybreakExecutionProvider", LIBRARY)
        device = [d for d in ort.get_ep_devices() if d.ep_name == "DaybreakExecutionProvider"][0]
        so = ort.SessionOptions()
        so.enable_mem_pattern = False
        so.add_provider_for_devices([device], {})
        so.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        s = ort.InferenceSession(chain(2, 100), so)
        assert "DaybreakExecutionProvider" in s.get_providers(), s.get_providers()
        print(s.run(None, {"x": np.arange(100, dtype=np.float32)})[0][:3])
        """,
        library,
    )
    assert result.returncode == 0 and "[2. 3. 4.]" in result.stdout, result.stdout + result.stderr[-2000:]


def test_another_webgpu_implementation(library: Path) -> None:
    """A sample of the case table through wgpu-native."""
    native = ROOT / ".deps/lib/libwgpu_native.so"
    if not native.exists():
        pytest.skip(f"{native} is not there")
    variables = {"DAYBREAK_WEBGPU_LIBRARY": str(native), "DAYBREAK_TEST_SAMPLE": "25"}
    result = run_table(library, variables, "-x", timeout=400)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
    assert "passed" in result.stdout, result.stdout


def test_cpu_and_gpu_sessions_share_nothing(daybreak: Daybreak) -> None:
    """The same model bytes on both EPs at once."""
    model = chain(5, SIZE)
    x = np.random.default_rng(4).standard_normal(SIZE, np.float32)
    a, b = daybreak.session(model), cpu_session(model)
    np.testing.assert_array_equal(a.run(None, {"x": x})[0], b.run(None, {"x": x})[0])


def test_a_subgraph_reads_outer_values(daybreak: Daybreak) -> None:
    """If runs on the CPU; its branches' nodes run on the EP and see values of the outer graph."""
    outer = helper.make_tensor_value_info("x", F32, [4])
    y = helper.make_tensor_value_info("y", F32, [None])

    def branch(name: str, inputs: list[str]) -> object:
        node = helper.make_node("Concat", inputs, [name], axis=0)
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, F32, [None])])

    choose = helper.make_node(
        "If",
        ["condition"],
        ["y"],
        then_branch=branch("a", ["x", "x"]),
        else_branch=branch("b", ["x", "x", "x"]),
    )
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    graph = helper.make_graph([choose], "outer", [condition, outer], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = daybreak.session(model.SerializeToString(), fallback=True)
    x = np.arange(4, dtype=np.float32)
    for condition_value, copies in ((True, 2), (False, 3)):
        got = session.run(None, {"condition": np.array(condition_value), "x": x})[0]
        np.testing.assert_array_equal(got, np.tile(x, copies))
