"""Bad input gives a clear error and leaves everything usable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from helpers.process import run_python
from helpers.run import Daybreak
from helpers.small import chain, one_node, rolled
from onnx import TensorProto

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
SIZE = 1000


@pytest.mark.parametrize(
    ("feeds", "part"),
    [
        ({"x": np.zeros(SIZE + 1, np.float32)}, "dimension"),
        ({"x": np.zeros((1, SIZE), np.float32)}, "rank"),
        ({"x": np.zeros(SIZE, np.float64)}, "type"),
        ({}, "x"),
    ],
    ids=["shape", "rank", "type", "absent"],
)
def test_wrong_input(feeds: dict[str, np.ndarray], part: str, daybreak: Daybreak) -> None:
    session = daybreak.session(chain(1, SIZE))
    with pytest.raises(Exception, match=f"(?i){part}"):
        session.run(None, feeds)
    x = np.random.default_rng(0).standard_normal(SIZE, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], rolled(x, 1))


@pytest.mark.parametrize(
    ("model", "feeds"),
    [
        (
            one_node("Concat", [(F32, ["a", "b"]), (F32, ["c", "d"])], axis=0),
            [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)],
        ),
        (
            one_node("Reshape", [(F32, ["a"]), (I64, ["r"])]),
            [np.zeros(6, np.float32), np.array([4, 2], np.int64)],
        ),
        (
            one_node("Expand", [(F32, ["a"]), (I64, ["r"])]),
            [np.zeros(3, np.float32), np.array([4], np.int64)],
        ),
        (
            one_node("Slice", [(F32, ["a"]), (I64, [1]), (I64, [1]), (I64, [1]), (I64, [1])]),
            [np.zeros(3, np.float32), *(np.array([v], np.int64) for v in (0, 2, 0, 0))],
        ),
        (
            one_node("Split", [(F32, ["a"]), (I64, [1])], axis=0),
            [np.zeros(3, np.float32), np.array([2], np.int64)],
        ),
    ],
    ids=["Concat", "Reshape", "Expand", "Slice step 0", "Split"],
)
def test_shapes_that_do_not_fit(model: bytes, feeds: list[np.ndarray], daybreak: Daybreak) -> None:
    """Only known at run time: the run fails, naming the node."""
    session = daybreak.session(model)
    values = {info.name: x for info, x in zip(session.get_inputs(), feeds, strict=True)}
    for _ in range(2):
        with pytest.raises(Exception, match="the_node"):
            session.run(None, values)


def test_unknown_option_names_the_valid_ones(daybreak: Daybreak) -> None:
    with pytest.raises(Exception, match=r"(?s)enableGraphCaptur\b.*enableGraphCapture"):
        daybreak.session(chain(1, SIZE), {"enableGraphCaptur": "1"})


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("enableGraphCapture", "yes", "0.*1"),
        ("validationMode", "some", "wgpuOnly.*basic.*full"),
        ("maxNumPendingDispatches", "0", "4096"),
        ("maxNumPendingDispatches", "5x", "4096"),
        ("maxStorageBufferBindingSize", "1000", "134217728"),
    ],
)
def test_bad_option_value(key: str, value: str, valid: str, daybreak: Daybreak) -> None:
    with pytest.raises(Exception, match=f"(?s){key}.*{valid}"):
        daybreak.session(chain(1, SIZE), {key: value})


def test_official_options_are_accepted(daybreak: Daybreak) -> None:
    options = {"preferredLayout": "NHWC", "storageBufferCacheMode": "bucket", "dawnBackendType": "Vulkan"}
    options |= {"powerPreference": "high-performance", "preserveDevice": "0", "enableInt64": "1"}
    x = np.arange(SIZE, dtype=np.float32)
    np.testing.assert_array_equal(
        daybreak.session(chain(1, SIZE), options).run(None, {"x": x})[0], rolled(x, 1)
    )


def test_an_operator_without_a_kernel_falls_back(daybreak: Daybreak) -> None:
    model = one_node("Det", [(F32, [3, 3])])
    (line,) = daybreak.explain(model)
    assert line["node"] == "the_node" and line["reason"], line
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    got = daybreak.session(model, fallback=True).run(None, {"x0": x})[0]
    np.testing.assert_allclose(got, np.linalg.det(x), rtol=1e-4)
    with pytest.raises(Exception, match="fallback"):
        daybreak.session(model)


def test_missing_webgpu_library(library: Path) -> None:
    result = run_python(
        """
        try:
            ort.register_execution_provider_library("WebGPU", LIBRARY)
            session(chain(1, 8))
        except Exception as error:
            print(error)
            sys.exit(3)
        """,
        library,
        DAYBREAK_WEBGPU_LIBRARY="/no/such/library.so",
    )
    assert result.returncode == 3, result.stdout + result.stderr
    assert "/no/such/library.so" in result.stdout and "DAYBREAK_WEBGPU_LIBRARY" in result.stdout, (
        result.stdout
    )


def test_memory_limit_is_an_error_and_not_the_end(library: Path) -> None:
    """The first session on a device decides its limit, so this needs a process of its own."""
    result = run_python(
        """
        ort.register_execution_provider_library("WebGPU", LIBRARY)
        size = 4_000_000
        s = session(chain(2, size), {"gpuMemoryLimit": str(40 << 20)})
        x = np.zeros(size, np.float32)
        try:
            s.run(None, {"x": x})
        except Exception as error:
            print(error)
        del s
        small = session(chain(2, 100), {"gpuMemoryLimit": str(40 << 20)})
        print("then", small.run(None, {"x": np.zeros(100, np.float32)})[0].shape)
        """,
        library,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "gpuMemoryLimit" in result.stdout and "then (100,)" in result.stdout, result.stdout


def test_terminate_ends_a_run(daybreak: Daybreak) -> None:
    session = daybreak.session(chain(3, SIZE))
    options = ort.RunOptions()
    options.terminate = True
    x = np.arange(SIZE, dtype=np.float32)
    with pytest.raises(Exception, match=r"(?i)terminate"):
        session.run(None, {"x": x}, options)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], rolled(x, 3))
