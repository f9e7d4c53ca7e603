"""Quantised KV caches over many tokens: how far results are from plain ones, growing and shared caches, graph capture.

Single nodes, their packed rows and what is declined are in tests/cases/kv_cache.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
import pytest
from cases import DTYPES
from helpers.kv_format import row_elements, unpack
from helpers.run import Daybreak
from onnx import TensorProto, helper

HEADS, KV_HEADS, HEAD = 4, 2, 64
OPTION = "kvCacheQuantizationBits"
# Root mean square of the error of attention over Gaussian data, relative to that of the output. Keys and values add one
# part each. 4 bits: sqrt(0.0095), the error of the levels; both make 0.138. 8 bits: 1 / sqrt(12) of a step, which is
# 1 / 127 of a largest magnitude of about 3; both make 0.0096.
ERRORS = {4: 0.15, 8: 0.0105}
BITS = list(ERRORS)


def model_of(dtype: str) -> bytes:
    """GroupQueryAttention of any lengths, x0 to x6 as the operator takes them."""
    t = DTYPES[dtype][0]
    cache = (t, ["batch", KV_HEADS, "past", "row"])
    types = [(t, ["batch", "seq", n * HEAD]) for n in (HEADS, KV_HEADS, KV_HEADS)] + [cache, cache]
    types += [(TensorProto.INT32, ["batch"]), (TensorProto.INT32, [1])]
    inputs = [helper.make_tensor_value_info(f"x{i}", *x) for i, x in enumerate(types)]
    outputs = [helper.make_tensor_value_info(f"y{i}", t, None) for i in range(3)]
    names = [i.name for i in inputs], [o.name for o in outputs]
    node = helper.make_node("GroupQueryAttention", *names, "attention", domain="com.microsoft",
                            num_heads=HEADS, kv_num_heads=KV_HEADS)  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "attention", inputs, outputs)
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def tokens(rng: np.random.Generator, seq: int, dtype: str) -> list[np.ndarray]:
    """New queries, keys and values."""
    shapes = [(1, seq, n * HEAD) for n in (HEADS, KV_HEADS, KV_HEADS)]
    return [rng.standard_normal(s).astype(DTYPES[dtype][1]) for s in shapes]


class Growing:
    """Attention whose past is the present of the run before."""

    def __init__(self, daybreak: Daybreak, dtype: str, bits: int) -> None:
        self.session = daybreak.session(model_of(dtype), {OPTION: str(bits)})
        numpy_type = np.dtype(DTYPES[dtype][1])
        row = row_elements(HEAD, bits, numpy_type) if bits else HEAD
        self.caches = [np.zeros((1, KV_HEADS, 0, row), numpy_type) for _ in range(2)]

    def run(self, qkv: list[np.ndarray]) -> np.ndarray:
        total = self.caches[0].shape[2] + qkv[0].shape[1]
        lengths = [np.array([total - 1], np.int32), np.array([total], np.int32)]
        feeds = {f"x{i}": x for i, x in enumerate([*qkv, *self.caches, *lengths])}
        out, *self.caches = self.session.run(None, feeds)
        return np.asarray(out)


class Shared:
    """Attention that appends to one cache of fixed size; with `capture`, lengths lie on the device as well."""

    def __init__(self, daybreak: Daybreak, dtype: str, bits: int, size: int, capture: bool) -> None:
        options = {OPTION: str(bits), "enableGraphCapture": str(int(capture))}
        self.session = daybreak.session(model_of(dtype), options)
        self.daybreak, self.capture, self.total = daybreak, capture, 0
        numpy_type = np.dtype(DTYPES[dtype][1])
        shape = (1, KV_HEADS, size, row_elements(HEAD, bits, numpy_type))
        self.caches = [daybreak.upload(np.zeros(shape, numpy_type)) for _ in range(2)]
        self.bound: dict[int, tuple] = {}  # by the number of new tokens, which is a graph's id as well

    def bind(self, qkv: list[np.ndarray]) -> tuple:
        binding, one = self.session.io_binding(), np.zeros(1, np.int32)
        length = self.daybreak.upload(one) if self.capture else None
        inputs = [*map(self.daybreak.upload, qkv), *self.caches, self.daybreak.upload(one), length]
        for i, value in enumerate(inputs):
            if value is not None:
                binding.bind_ortvalue_input(f"x{i}", value)
        out = self.daybreak.upload(np.zeros_like(qkv[0]))
        for i, value in enumerate([out, *self.caches]):
            binding.bind_ortvalue_output(f"y{i}", value)
        return binding, inputs, out

    def run(self, qkv: list[np.ndarray]) -> np.ndarray:
        seq = qkv[0].shape[1]
        if seq not in self.bound:
            self.bound[seq] = self.bind(qkv)
        binding, inputs, out = self.bound[seq]
        self.total += seq
        for value, x in zip(inputs[:3], qkv, strict=True):
            value.update_inplace(x)
        inputs[5].update_inplace(np.array([self.total - 1], np.int32))
        if self.capture:
            inputs[6].update_inplace(np.array([self.total], np.int32))
        else:
            binding.bind_cpu_input("x6", np.array([self.total], np.int32))
        options = ort.RunOptions()
        if self.capture:
            options.add_run_config_entry("gpu_graph_id", str(seq))
        self.session.run_with_iobinding(binding, options)
        return np.asarray(out.numpy())


def run_of(seed: int, dtype: str) -> Iterator[list[np.ndarray]]:
    """A prompt, single tokens, a continuation, single tokens."""
    rng = np.random.default_rng(seed)
    for seq in (37, *[1] * 9, 20, 1, 1):
        yield tokens(rng, seq, dtype)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize("bits", BITS)
def test_results_are_near_to_plain_ones(bits: int, dtype: str, daybreak: Daybreak) -> None:
    plain, packed = (Growing(daybreak, dtype, b) for b in (0, bits))
    for qkv in run_of(bits, dtype):
        want, got = plain.run(qkv), packed.run(qkv)
        error = rms(got.astype(np.float64) - want) / rms(want)
        assert error < ERRORS[bits], f"{error:.4f} after {packed.caches[0].shape[2]} tokens"
    for i in range(2):
        rows = unpack(packed.caches[i], bits)
        assert rms(rows - plain.caches[i]) / rms(plain.caches[i]) < ERRORS[bits]


@pytest.mark.parametrize("capture", [False, True], ids=["plain", "capture"])
@pytest.mark.parametrize("bits", BITS)
def test_shared_caches_hold_what_growing_ones_do(bits: int, capture: bool, daybreak: Daybreak) -> None:
    growing, shared = Growing(daybreak, "f16", bits), Shared(daybreak, "f16", bits, 128, capture)
    for qkv in run_of(3, "f16"):
        want, got = growing.run(qkv), shared.run(qkv)
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-3)
    for have, want in zip(shared.caches, growing.caches, strict=True):
        assert have.numpy()[:, :, : want.shape[2]].tobytes() == want.tobytes()
        assert not have.numpy()[:, :, want.shape[2] :].any()


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_outliers_cost_the_others_little(dtype: str, daybreak: Daybreak) -> None:
    """Four bits between the extremes would leave nothing of the other elements: steps of 30 / 8 for values around 1."""
    packed = Growing(daybreak, dtype, 4)
    qkv = tokens(np.random.default_rng(4), 40, dtype)
    for x in qkv[1:]:
        x[..., ::HEAD] = 30
    packed.run(qkv)
    for new, cache in zip(qkv[1:], packed.caches, strict=True):
        want = new.reshape(1, 40, KV_HEADS, HEAD).transpose(0, 2, 1, 3).astype(np.float64)
        assert rms((unpack(cache, 4) - want)[..., 1:]) < 0.5


@pytest.mark.parametrize("bits", [-8, 1, 2, 3, 5, 16])
def test_other_widths_are_an_error_that_names_the_right_ones(bits: int, daybreak: Daybreak) -> None:
    with pytest.raises(Exception, match=rf"{OPTION} is '{bits}'. Valid: 0, 4, 8"):
        daybreak.session(model_of("f16"), {OPTION: str(bits)})
