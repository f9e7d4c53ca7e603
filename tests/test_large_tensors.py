"""Tensors above the device's limit for one storage binding are bound in segments, or declined with the reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.again import run_table
from helpers.run import Daybreak
from helpers.small import one_node
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent

# DAYBREAK_MAX_BINDING, one of how many cases, which, and kernels that must have met a tensor above the limit. Cases
# that would need more bindings than the device has are skipped.
SEGMENTED = [
    (16384, 4, "matmul_nbits", ["matmul_nbits_few"]),
    (16384, 8, "gqa: or attention:", ["attention_append", "attention_decode", "attention_tile"]),
    (16384, 24, "paged:", ["attention_decode", "attention_tile", "paged_append"]),
    (16384, 8, "gemm:", ["gemm_dot", "gemm_tile"]),
    (512, 16, "not nbits and not attention and not gqa and not gemm", ["binary", "norm", "strided"]),
    (512, 2, "scatter or gather", ["gather_block_quantized", "scatter", "scatter_link"]),
]


@pytest.mark.parametrize(
    ("limit", "sample", "cases", "shaders"), SEGMENTED, ids=[c for _, _, c, _ in SEGMENTED]
)
def test_segments(
    limit: int, sample: int, cases: str, shaders: list[str], library: Path, tmp_path: Path
) -> None:
    variables = {
        "DAYBREAK_MAX_BINDING": str(limit),
        "DAYBREAK_TEST_SAMPLE": str(sample),
        "DAYBREAK_SHADER_DUMP": str(tmp_path),
    }
    run = run_table(library, variables, "-k", cases)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    segmented = {f.name.rsplit("-", 1)[0] for f in tmp_path.iterdir() if "_segment1" in f.read_text()}
    assert segmented >= set(shaders)


def test_above_the_limit_of_webgpu(daybreak: Daybreak) -> None:
    """Rows of 140 MB, gathered from both sides of 128 MiB."""
    rows, columns = 140, 1_000_003
    table = np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)
    session = daybreak.session(
        one_node("Gather", [(TensorProto.UINT8, ["n", "c"]), (TensorProto.INT64, ["m"])], axis=0)
    )
    indices = np.array([139, 0, 134, -6, 133])
    binding = session.io_binding()
    binding.bind_ortvalue_input("x0", daybreak.upload(table))
    binding.bind_cpu_input("x1", indices)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), table[indices])


DECLINED = """
import json, sys
import onnxruntime as ort
sys.path.insert(0, "tests")
from helpers.again import run_table
from helpers.run import Daybreak
ort.set_default_logger_severity(4)
ort.register_execution_provider_library("WebGPU", sys.argv[1])
device = next(d for d in ort.get_ep_devices() if d.ep_name == "WebGpuExecutionProvider")
daybreak = Daybreak(sys.argv[1], device, device.ep_name)
print(json.dumps(daybreak.explain(open(sys.argv[2], "rb").read())))
"""


def test_a_constant_of_too_many_segments_is_declined(library: Path, tmp_path: Path) -> None:
    """Also with the fallback to the CPU, the reason names value, size and limit."""
    table = np.zeros((100, 256), np.float32)
    node = helper.make_node("Gather", ["table", "x"], ["y"], axis=0)
    graph = helper.make_graph(
        [node],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 256])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    run = subprocess.run(
        [sys.executable, "-c", DECLINED, str(library), str(path)],
        cwd=ROOT,
        env=os.environ | {"DAYBREAK_MAX_BINDING": "4096"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (line,) = json.loads(run.stdout)
    assert line["ep"] == "CPUExecutionProvider" or not line["ep"]
    for word in (
        "input 0",
        "f32[100,256]",
        "102400 bytes",
        "maxStorageBufferBindingSize is 4096",
        "27 bindings",
    ):
        assert word in line["reason"]
