"""Builds the model of a case, runs it on an EP, and compares outputs."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from cases import ACCUMULATES, DTYPES, TOLERANCES, Arg, Case
from onnx import TensorProto, helper, numpy_helper

ONNX_TO_NUMPY = {onnx_type: numpy_type for onnx_type, numpy_type, _ in DTYPES.values()}
NAME_OF = {np.dtype(numpy_type): name for name, (_, numpy_type, _) in DTYPES.items()}
SUMMARY: pytest.StashKey[list[str]] = pytest.StashKey()  # lines for the end of the test run
NARROW = {np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)}


def rng_of(case: Case) -> np.random.Generator:
    """Inputs follow from the case's id, and from DAYBREAK_TEST_SEED where that is set (for fresh inputs)."""
    return np.random.default_rng([case.seed, int(os.environ.get("DAYBREAK_TEST_SEED", "0"))])


def make_inputs(case: Case) -> list[np.ndarray | None]:
    rng = rng_of(case)
    return [None if a is None else a.make(rng) for a in case.args]


def widen(x: np.ndarray, oracle: str) -> np.ndarray:
    """The element types that the oracle computes in."""
    if oracle == "f64" and (x.dtype in NARROW or x.dtype == np.float32):
        return x.astype(np.float64)
    return x.astype(np.float32) if oracle == "f32" and x.dtype in NARROW else x


def to_proto(x: np.ndarray, name: str) -> TensorProto:
    return numpy_helper.from_array(x, name)


def build_model(case: Case, inputs: Sequence[np.ndarray | None], wide: bool = False) -> bytes:
    """The case as a model from x0, x1, ... to y0, y1, ... ; `inputs` give types and initialisers. `wide`: declared
    types of outputs are widened as the oracle widens inputs."""
    infos, initialisers, names = [], [], []
    for i, (arg, x) in enumerate(zip(case.args, inputs, strict=True)):
        if arg is None or x is None:
            names.append("")
            continue
        names.append(f"x{i}")
        if arg.const:
            initialisers.append(to_proto(x, names[-1]))
        else:
            onnx_type = DTYPES[NAME_OF[x.dtype]][0]
            infos.append(helper.make_tensor_value_info(names[-1], onnx_type, declared_shape(case, arg, i)))
    outputs = [f"y{i}" if used else "" for i, used in enumerate(case.out)]
    nodes = case.nodes or [
        helper.make_node(case.op, names, outputs, name="node", domain=case.domain, **case.attrs)
    ]
    # Outputs carry no type but those of `types`: ONNX Runtime infers it from the operator's schema.
    results = [onnx.ValueInfoProto(name=y) for y in outputs if y]
    for i, name in case.types.items():
        numpy_type = widen(np.empty(0, DTYPES[name][1]), case.oracle if wide else "").dtype
        result = helper.make_tensor_value_info(f"y{i}", DTYPES[NAME_OF[numpy_type]][0], None)
        results[sum(case.out[:i])] = result
    graph = helper.make_graph(nodes, "case", infos, results, initialisers)
    opsets = [helper.make_opsetid("", case.opset), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def declared_shape(case: Case, arg: Arg, index: int) -> list[Any]:
    if case.symbolic:
        return [f"d{index}_{axis}" for axis in range(len(arg.shape))]
    return list(arg.shape if arg.dims is None else arg.dims)


def session_options(level: Any = None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level or ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def cpu_session(model: bytes, level: Any = None) -> ort.InferenceSession:
    return ort.InferenceSession(model, session_options(level), providers=["CPUExecutionProvider"])


@dataclasses.dataclass
class Daybreak:
    """The registered plugin and the device that tests run on."""

    library: str
    device: Any  # ort.OrtEpDevice
    ep_name: str

    def session(self, model: bytes | str, options: Mapping[str, str] | None = None, *, fallback: bool = False,
                level: Any = None, config: Mapping[str, str] | None = None,
                session_options_: ort.SessionOptions | None = None) -> ort.InferenceSession:  # fmt: skip
        """A session on the device; a node that the EP does not take is an error unless `fallback`."""
        so = session_options_ or session_options(level)
        so.add_provider_for_devices([self.device], dict(options or {}))
        if not fallback:
            so.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        for key, value in (config or {}).items():
            so.add_session_config_entry(key, value)
        return ort.InferenceSession(model, so, enable_fallback=0)

    def explain(self, model: bytes | str, options: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """Who runs which node and why, as the plugin tells it: node, op, domain, ep, reason."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "explain")
            with contextlib.suppress(Exception):  # the session itself may fail
                self.session(model, {**(options or {}), "explainFile": path}, fallback=True)
            if not os.path.exists(path):  # ONNX Runtime refused the model before it asked the plugin
                return []
            with open(path) as lines:
                return [json.loads(line) for line in lines]

    @property
    def memory(self) -> tuple[str, int, int]:
        """Device type, id and vendor as OrtValue's factories take them."""
        info = self.device.memory_info(ort.OrtDeviceMemoryType.DEFAULT)
        return "gpu", 0, info.device_vendor_id

    def upload(self, x: np.ndarray) -> ort.OrtValue:
        if x.dtype in (np.dtype(ml_dtypes.bfloat16),):
            on_device = self.empty(x.shape, TensorProto.BFLOAT16)
            ort.copy_tensors([ortvalue(x)], [on_device])
            return on_device
        return ort.OrtValue.ortvalue_from_numpy(x, *self.memory)

    def empty(self, shape: Sequence[int], onnx_type: int) -> ort.OrtValue:
        value = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), onnx_type, *self.memory)
        return value


def poison(daybreak: Daybreak) -> None:
    """Fills the small free buffers of the device with NaN bits, so that a kernel that reads what nobody wrote shows."""
    sizes = [quarter << octave for octave in range(6, 15) for quarter in (4, 5, 6, 7)]
    values = [daybreak.upload(np.full(size, 0xFF, np.uint8)) for size in sizes for _ in range(2)]
    del values  # back to the pool


def ortvalue(x: np.ndarray) -> ort.OrtValue:
    """A CPU value of any type of the table (bf16 by its bits)."""
    if x.dtype == np.dtype(ml_dtypes.bfloat16):
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
            np.ascontiguousarray(x).view(np.uint16).reshape(x.shape), TensorProto.BFLOAT16
        )
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x).reshape(x.shape))


def to_numpy(value: ort.OrtValue) -> np.ndarray:
    """Elements of a value, also of types that NumPy has no name for."""
    numpy_type = np.dtype(ONNX_TO_NUMPY[value.element_type()])
    if numpy_type.isbuiltin == 1:
        plain: np.ndarray = value.numpy()
        return plain
    if value.device_name().lower() != "cpu":
        host = ort.OrtValue.ortvalue_from_shape_and_type(list(value.shape()), value.element_type())
        ort.copy_tensors([value], [host])
        value = host
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    if numpy_type in (np.dtype(ml_dtypes.int4), np.dtype(ml_dtypes.uint4)):  # two to a byte, low half first
        packed = np.frombuffer(raw, np.uint8)
        halves = np.stack([packed & 15, packed >> 4], -1).ravel()[: int(np.prod(value.shape()))]
        raw = halves.tobytes()  # NumPy's 4-bit types read the low half of a byte
    return np.frombuffer(raw, numpy_type).reshape(value.shape())


def run_plain(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs in order, for inputs and outputs in CPU memory."""
    names = [o.name for o in session.get_outputs()]
    values = session._sess.run_with_ort_values(
        {n: ortvalue(x)._ortvalue for n, x in inputs.items()}, names, None
    )
    return [to_numpy(ort.OrtValue(v)) for v in values]


def feeds_of(case: Case, inputs: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    pairs = enumerate(zip(case.args, inputs, strict=True))
    return {f"x{i}": x for i, (a, x) in pairs if a is not None and x is not None and not a.const}


def run_bound(
    daybreak: Daybreak,
    session: ort.InferenceSession,
    case: Case,
    inputs: Sequence[np.ndarray | None],
    want: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Outputs of a run whose inputs and outputs are in device memory; `want` gives the outputs' shapes."""
    binding = session.io_binding()
    on_device = {}
    for name, x in feeds_of(case, inputs).items():
        arg = case.args[int(name[1:])]
        assert arg is not None
        on_device[name] = ortvalue(x) if arg.on_cpu else daybreak.upload(x)
        binding.bind_ortvalue_input(name, on_device[name])
    results = []
    for out, w in zip(session.get_outputs(), want, strict=True):
        index = int(out.name[1:])
        if index in case.shared:
            value = on_device[f"x{case.shared[index]}"]
        else:
            value = daybreak.empty(w.shape, onnx_type_of(out.type))
        binding.bind_ortvalue_output(out.name, value)
        results.append(value)
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return [to_numpy(v) for v in results]


def onnx_type_of(text: str) -> int:
    """The ONNX type of ORT's "tensor(float16)"."""
    name = text.removeprefix("tensor(").removesuffix(")").upper()
    return int(TensorProto.DataType.Value({"FLOAT16": "FLOAT16", "BFLOAT16": "BFLOAT16"}.get(name, name)))


def reference(case: Case, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Outputs of the oracle: `ref` in float64, or the CPU EP (f16 and bf16 widened unless oracle="cpu")."""
    if case.ref:
        with np.errstate(invalid="ignore"):  # bits of packed rows need not be numbers
            wide = [
                x.astype(np.float64) if x is not None and NAME_OF[x.dtype] in TOLERANCES else x
                for x in inputs
            ]
        result = case.ref(*wide, **case.attrs)
        return [np.asarray(r) for r in (result if isinstance(result, tuple) else (result,))]
    used = [None if x is None else widen(x, case.oracle) for x in inputs]
    return run_plain(cpu_session(build_model(case, used, wide=True)), feeds_of(case, used))


def check_output(case: Case, index: int, got: np.ndarray, want: np.ndarray) -> str:
    """ "" when `got` is right, else what is wrong at the worst element."""
    if got.shape != want.shape:
        return f"output {index}: shape {got.shape}, expected {want.shape}"
    name = NAME_OF[got.dtype]
    if name not in TOLERANCES:
        bad = np.flatnonzero(got.ravel() != want.ravel().astype(got.dtype))
        if not bad.size:
            return ""
        at = np.unravel_index(bad[0], got.shape)
        first = f"first at {list(map(int, at))}: {got[at]}, expected {want[at]}"
        return f"output {index} ({name}): {bad.size} of {got.size} differ, {first}"
    with np.errstate(all="ignore"):
        expected = want.astype(got.dtype).astype(np.float64)  # overflow to infinity where the type overflows
        actual = got.astype(np.float64)
        tol, atol = TOLERANCES[name]
        tol, atol = tol if case.tol is None else case.tol, atol if case.atol is None else case.atol
        if case.op in ACCUMULATES and expected.size:
            finite = expected[np.isfinite(expected)]
            atol *= max(1.0, float(np.sqrt(np.mean(finite**2))) if finite.size else 1.0)
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        excess = np.where(same, 0.0, np.abs(actual - expected) / (tol * np.abs(expected) + atol))
    excess = np.where(np.isfinite(excess) & ~(np.isinf(actual) & ~same), excess, np.inf)
    outside = excess > 1
    if not outside.any():
        return ""
    at = np.unravel_index(int(excess.argmax()), excess.shape)
    worst = f"{actual[at]:.8g}, expected {expected[at]:.8g} ({excess[at]:.3g} times the tolerance)"
    return (
        f"output {index} ({name}): {int(outside.sum())} of {outside.size} outside tol={tol:g} "
        f"atol={atol:.3g}; worst at {list(map(int, at))}: {worst}"
    )
