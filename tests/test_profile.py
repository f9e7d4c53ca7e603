"""GPU times in ONNX Runtime's profiles."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from helpers.run import Daybreak, session_options
from helpers.small import chain, rolled

SIZE = 1000
RUNS = 3


def profiled(daybreak: Daybreak, folder: Path, length: int, options: dict[str, str] | None = None) -> Any:
    so = session_options()
    so.enable_profiling = True
    so.profile_file_prefix = str(folder / f"chain{length}")
    return daybreak.session(chain(length, SIZE), options, session_options_=so)


def events_of(session: ort.InferenceSession) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The kernels' events, and those of ONNX Runtime."""
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [e for e in events if "kernel" in e.get("args", {})]
    return kernels, [e for e in events if e not in kernels]


def run(session: ort.InferenceSession, times: int = RUNS) -> None:
    x = np.random.default_rng(1).standard_normal(SIZE, np.float32)
    for _ in range(times):
        session.run(None, {"x": x})


@pytest.fixture(autouse=True)
def _timestamps(daybreak: Daybreak) -> None:
    if daybreak.device.ep_metadata["timestamps"] != "1":
        pytest.skip("the device has no timestamps")


def test_every_dispatch_is_in_the_profile(daybreak: Daybreak, tmp_path: Path) -> None:
    session = profiled(daybreak, tmp_path, 4)
    run(session)
    kernels, _ = events_of(session)
    names = [f"{op}{i}" for i in range(4) for op in ("concat", "slice")]
    assert [e["args"]["node"] for e in kernels] == names * RUNS
    first = kernels[0]["args"]
    assert first["op_name"] == "Concat"
    assert first["shapes"] == f"f32[{SIZE}] f32[{SIZE}] -> f32[{2 * SIZE}]"
    assert first["grid"].count("x") == 2
    assert kernels[0]["name"] == f"concat0&Concat&{first['kernel']}"
    assert all(e["cat"] == "Kernel" and int(e["args"]["duration_ns"]) > 0 for e in kernels)


def test_kernels_lie_inside_their_runs(daybreak: Daybreak, tmp_path: Path) -> None:
    session = profiled(daybreak, tmp_path, 4)
    run(session)
    kernels, others = events_of(session)
    runs = [e for e in others if e["name"] == "model_run"]
    assert len(runs) == RUNS
    slack = 200  # microseconds: GPU and CPU clocks are compared once a submit
    for i, kernel in enumerate(kernels):
        span = runs[i // (len(kernels) // RUNS)]
        assert span["ts"] - slack <= kernel["ts"]
        assert kernel["ts"] + kernel["dur"] <= span["ts"] + span["dur"] + slack


def test_sessions_at_once_keep_their_events(daybreak: Daybreak, tmp_path: Path) -> None:
    sessions = [profiled(daybreak, tmp_path, length) for length in (2, 5)]
    plain = daybreak.session(chain(3, SIZE))
    threads = [threading.Thread(target=run, args=(s, 10)) for s in [*sessions, plain]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session, length in zip(sessions, (2, 5), strict=True):
        kernels, _ = events_of(session)
        assert len(kernels) == 10 * 2 * length
        assert {e["args"]["node"] for e in kernels} == {
            f"{op}{i}" for i in range(length) for op in ("concat", "slice")
        }


def test_capture_and_replay(daybreak: Daybreak, tmp_path: Path) -> None:
    session = profiled(daybreak, tmp_path, 3, {"enableGraphCapture": "1"})
    x = np.random.default_rng(1).standard_normal(SIZE, np.float32)
    value, y = daybreak.upload(x), daybreak.upload(np.zeros_like(x))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_ortvalue_output("y", y)
    for _ in range(RUNS):
        session.run_with_iobinding(binding)
    np.testing.assert_array_equal(y.numpy(), rolled(x, 3))
    kernels, _ = events_of(session)
    names = [f"{op}{i}" for i in range(3) for op in ("concat", "slice")]
    assert [e["args"]["node"] for e in kernels] == names * RUNS


def test_a_profile_that_ended_takes_no_more(daybreak: Daybreak, tmp_path: Path) -> None:
    session = profiled(daybreak, tmp_path, 2)
    run(session, 1)
    kernels, _ = events_of(session)
    assert len(kernels) == 4
    run(session, 1)  # without profile: nothing to see, and nothing fails
