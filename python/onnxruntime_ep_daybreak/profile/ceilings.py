"""What a device can do: its streaming rate and its matrix product rate, measured with two small models."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ..errors import DaybreakError
from ..library import create_session, devices, is_software
from ..onnx_bytes import one_node
from .events import read
from .work import work

# ONNX element types and their NumPy types.
_ELEMENTS = {"f32": (1, np.float32), "f16": (10, np.float16)}
_SECONDS = 0.6  # A GPU that has been idle takes that long to reach its clock.


@dataclass(frozen=True)
class Ceilings:
    """Bytes and floating-point operations a second."""

    bytes_per_second: float
    flops: float
    dtype: str


def measure(device: int = 0) -> Ceilings:
    """The best of many runs: `Neg` of a vector beyond any cache, and a square MatMul, in f16 where the device has it.

    The sizes for a software device are smaller.
    """
    found = devices()[device]
    data = found.ep_metadata
    small = is_software(found)
    dtype = "f16" if data.get("f16") == "1" else "f32"
    binding = int(data.get("max_storage_binding", 1 << 27))
    count = min(binding, (1 << 25) if small else (1 << 28)) // 4
    side = 256 if small else 4096
    stream = _best("Neg", "f32", [[count]], [count], device)
    product = _best("MatMul", dtype, [[side, side], [side, side]], [side, side], device)
    return Ceilings(stream[0], product[1], dtype)


def _best(
    op: str, dtype: str, inputs: list[list[int]], output: list[int], device: int
) -> tuple[float, float]:
    """Bytes and operations a second of the fastest run of one node."""
    model = one_node(op, _ELEMENTS[dtype][0], inputs, output)
    with tempfile.TemporaryDirectory(prefix="daybreak-ceiling-") as folder:
        so = ort.SessionOptions()
        so.log_severity_level = 3
        so.enable_profiling = True
        so.profile_file_prefix = str(Path(folder) / "profile")
        session = create_session(model, device=device, session_options=so)
        binding = session.io_binding()
        kind = _ELEMENTS[dtype][1]
        for i, shape in enumerate(inputs):
            value = ort.OrtValue.ortvalue_from_numpy(np.full(shape, 0.5, kind), "gpu", 0)
            binding.bind_ortvalue_input(f"x{i}", value)
        binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_shape_and_type(output, kind, "gpu", 0))
        end = time.perf_counter() + _SECONDS
        runs = 0
        while runs < 10 or (time.perf_counter() < end and runs < 5000):
            session.run_with_iobinding(binding)
            runs += 1
        profile = read(Path(session.end_profiling()))
    times = [run.busy for run in profile.runs if run.kernels]
    if not times or min(times) <= 0:
        raise DaybreakError(f"the device's clock is too coarse to time {op}")
    # Kernels of one run share the node's work; the one that does the product carries all its operations.
    sizes = [work(k.op, k.kernel, k.shapes) for k in profile.runs[-1].kernels]
    seconds = min(times) / 1e6
    return sum(s[0] for s in sizes) / seconds, max(s[1] for s in sizes) / seconds
