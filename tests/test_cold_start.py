"""The first runs of a model without any cache: what they need is compiled while the session is created."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import llm
from helpers.process import run_python
from helpers.run import Daybreak, cpu_session
from onnx import TensorProto, helper

F32 = TensorProto.FLOAT

# Shaders that are rendered between calls, from what DAYBREAK_SHADER_DUMP writes; a session over a KV cache in device
# memory ("static") or one that grows.
START = """
from pathlib import Path
import os
from helpers import llm
seen = set()
def rendered():
    global seen
    now = {p.name for p in Path(os.environ["DAYBREAK_SHADER_DUMP"]).iterdir()}
    new, seen = now - seen, now
    return sorted(new)
ort.register_execution_provider_library("WebGPU", LIBRARY)
def device():
    d = [d for d in ort.get_ep_devices() if "CPU" not in d.ep_name and "Azure" not in d.ep_name][0]
    return "gpu", 0, d.memory_info(ort.OrtDeviceMemoryType.DEFAULT).device_vendor_id
config = llm.Config(**CONFIG)
def open_model():
    return session(llm.build(config, np.float16), {"cacheDir": CACHE})
def runs(model, memory):
    runner = llm.Runner(model, config, np.float16, 1, memory=memory)
    rng = np.random.default_rng(0)
    for count in (24, 1, 1):
        runner.step(rng.integers(0, config.vocab, (1, count)))
"""


def run_model(code: str, tmp_path: Path, library: Path, cache: str = "off", **config: object) -> list[str]:
    """The lines that `code` prints in a process of its own."""
    dump = tmp_path / "shaders"
    dump.mkdir(exist_ok=True)
    for file in dump.iterdir():
        file.unlink()
    start = f"CONFIG = {config!r}\nCACHE = {cache!r}\n" + START
    done = run_python(start + code, library, DAYBREAK_SHADER_DUMP=str(dump))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("memory", "packed"), [("None", False), ("device()", True)], ids=["growing", "static"]
)
def test_first_runs_compile_nothing_new(memory: str, packed: bool, tmp_path: Path, library: Path) -> None:
    code = f"model = open_model(); print(len(rendered())); runs(model, {memory}); print(rendered())"
    ahead, new = run_model(code, tmp_path, library, packed=packed)
    assert int(ahead) >= 8
    assert new == "[]"


def test_a_mask_leaves_its_sum_only(tmp_path: Path, library: Path) -> None:
    # How a sum is best computed depends on the length.
    code = "model = open_model(); print(len(rendered())); runs(model, None); print(*rendered())"
    _, new = run_model(code, tmp_path, library, direct=False)
    assert {name.split("-")[0] for name in new.split()} <= {"reduce"}


def test_what_was_used_is_remembered_alone(tmp_path: Path, library: Path) -> None:
    code = "model = open_model(); print(len(rendered())); runs(model, device()); print(len(seen))"
    cache = str(tmp_path / "cache")
    first = [int(n) for n in run_model(code, tmp_path, library, cache)]
    second = [int(n) for n in run_model(code, tmp_path, library, cache)]
    assert second[0] == second[1], "the list of the first process is complete"
    assert second[0] < first[0], "the token in a cache that grows was not used"


def test_a_process_may_end_while_it_compiles(tmp_path: Path, library: Path) -> None:
    for code in (
        "model = open_model(); print(1)",
        "for _ in range(4): model = open_model(); del model\nprint(1)",
    ):
        assert run_model(code, tmp_path, library) == ["1"]


def test_two_sessions_at_once(daybreak: Daybreak) -> None:
    configs = [llm.Config(), llm.Config(packed=True, hidden=96, heads=6)]
    ids = np.random.default_rng(1).integers(0, 200, (1, 9))
    got: dict[int, np.ndarray] = {}

    def body(i: int) -> None:
        session = daybreak.session(llm.build(configs[i], np.float32), {"cacheDir": "off"})
        got[i] = llm.Runner(session, configs[i], np.float32, 1).step(ids)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, config in enumerate(configs):
        want = llm.Runner(cpu_session(llm.build(config, np.float32)), config, np.float32, 1).step(ids)
        np.testing.assert_allclose(got[i], want, rtol=1e-3, atol=1e-3)


def test_other_sizes_than_guessed(daybreak: Daybreak) -> None:
    config = llm.Config()
    model = llm.build(config, np.float32)
    ids = np.random.default_rng(2).integers(0, config.vocab, (3, 5))
    got = llm.Runner(daybreak.session(model, {"cacheDir": "off"}), config, np.float32, 3).step(ids)
    want = llm.Runner(cpu_session(model), config, np.float32, 3).step(ids)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def unknown_shapes() -> bytes:
    """y = exp(reshape(x, shape)), of which nothing but types is known."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Exp", ["r"], ["y"]),
        helper.make_node("Gather", ["x", "place"], ["z"]),
    ]
    ints = TensorProto.INT64
    inputs = [("x", F32), ("shape", ints), ("place", ints)]
    graph = helper.make_graph(
        nodes,
        "unknown",
        [helper.make_tensor_value_info(name, t, None) for name, t in inputs],
        [helper.make_tensor_value_info(name, F32, None) for name in ("y", "z")],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    return model.SerializeToString()


def test_a_model_without_shapes(daybreak: Daybreak) -> None:
    session = daybreak.session(unknown_shapes(), {"cacheDir": "off"})
    x = np.arange(6, dtype=np.float32)
    y, z = session.run(None, {"x": x, "shape": np.array([2, 3]), "place": np.array([4])})
    np.testing.assert_allclose(y, np.exp(x).reshape(2, 3), rtol=1e-5)
    np.testing.assert_array_equal(z, [4])
