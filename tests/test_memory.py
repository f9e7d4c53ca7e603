"""Values in device memory: made, copied, changed and bound from Python, for every type and size."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnxruntime as ort
import pytest
from helpers.run import Daybreak
from helpers.small import one_node
from onnx import TensorProto

SIZES = [0, 1, 2, 3, 4, 5, 7, 255, 1001, 70_001]
TYPES = [
    np.float32,
    np.float16,
    np.float64,
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
]
TYPES += [np.uint64, np.bool_]
LARGE = 9_000_001  # bytes: above one staging chunk, and odd


def random(dtype: type, *shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    if dtype is np.bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_round_trip(dtype: type, daybreak: Daybreak) -> None:
    for size in SIZES:
        x = random(dtype, size)
        value = ort.OrtValue.ortvalue_from_numpy(x, *daybreak.memory)
        assert value.device_name() != "cpu"
        np.testing.assert_array_equal(value.numpy(), x)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64], ids=lambda t: t.__name__)
def test_update_in_place(dtype: type, daybreak: Daybreak) -> None:
    for size in SIZES[1:]:
        value = ort.OrtValue.ortvalue_from_numpy(random(dtype, size), *daybreak.memory)
        address = value.data_ptr()
        x = random(dtype, size, seed=1)
        value.update_inplace(x)
        assert value.data_ptr() == address
        np.testing.assert_array_equal(value.numpy(), x)


def test_large_values(daybreak: Daybreak) -> None:
    x = random(np.uint8, LARGE)
    value = ort.OrtValue.ortvalue_from_numpy(x, *daybreak.memory)
    np.testing.assert_array_equal(value.numpy(), x)
    y = random(np.uint8, LARGE, seed=1)
    value.update_inplace(y)
    np.testing.assert_array_equal(value.numpy(), y)


@pytest.mark.parametrize("size", SIZES)
def test_copy_tensors(size: int, daybreak: Daybreak) -> None:
    """CPU to device, device to device, device to CPU, several values in one call."""
    arrays = [random(t, size, seed=2) for t in (np.uint8, np.float16, np.float32)]
    on_cpu = [ort.OrtValue.ortvalue_from_numpy(x) for x in arrays]
    first = [ort.OrtValue.ortvalue_from_shape_and_type([size], x.dtype, *daybreak.memory) for x in arrays]
    second = [ort.OrtValue.ortvalue_from_shape_and_type([size], x.dtype, *daybreak.memory) for x in arrays]
    back = [ort.OrtValue.ortvalue_from_numpy(np.zeros_like(x)) for x in arrays]
    ort.copy_tensors(on_cpu, first)
    ort.copy_tensors(first, second)
    ort.copy_tensors(second, back)
    for x, value in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(value.numpy(), x)


def test_copy_of_another_size_is_an_error(daybreak: Daybreak) -> None:
    a = ort.OrtValue.ortvalue_from_numpy(np.zeros(4, np.float32))
    b = ort.OrtValue.ortvalue_from_shape_and_type([5], np.float32, *daybreak.memory)
    with pytest.raises(Exception, match=r"(?i)size|bytes|shape"):
        ort.copy_tensors([a], [b])


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_bound_values(dtype: type, daybreak: Daybreak) -> None:
    """Inputs and outputs stay on the device from run to run; y = x + x by concatenation."""
    onnx_type = {np.bool_: TensorProto.BOOL}.get(dtype) or TensorProto.DataType.Value(
        {"float32": "FLOAT", "float64": "DOUBLE"}.get(np.dtype(dtype).name, np.dtype(dtype).name.upper())
    )
    session = daybreak.session(one_node("Concat", [(onnx_type, ["n"]), (onnx_type, ["m"])], axis=0))
    for size in (0, 1, 3, 4, 129):
        x, y = random(dtype, size), random(dtype, size + 2, seed=3)
        values = [ort.OrtValue.ortvalue_from_numpy(v, *daybreak.memory) for v in (x, y)]
        out = ort.OrtValue.ortvalue_from_shape_and_type([2 * size + 2], dtype, *daybreak.memory)
        binding = session.io_binding()
        for name, value in zip(("x0", "x1"), values, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("y", out)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(out.numpy(), np.concatenate([x, y]))
        values[1].update_inplace(y[::-1].copy())
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(out.numpy(), np.concatenate([x, y[::-1]]))


def test_outputs_that_ort_allocates_on_the_device(daybreak: Daybreak) -> None:
    session = daybreak.session(
        one_node("Concat", [(TensorProto.FLOAT, ["n"]), (TensorProto.FLOAT, ["m"])], axis=0)
    )
    x = random(np.float32, 300)
    binding = session.io_binding()
    binding.bind_cpu_input("x0", x)
    binding.bind_cpu_input("x1", x)
    binding.bind_output("y", daybreak.memory[0], daybreak.memory[1])
    session.run_with_iobinding(binding)
    (value,) = binding.get_outputs()
    assert value.device_name() != "cpu"
    np.testing.assert_array_equal(value.numpy(), np.concatenate([x, x]))


def test_bfloat16(daybreak: Daybreak) -> None:
    x = np.arange(-5, 6).astype(ml_dtypes.bfloat16)
    on_cpu = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(x.view(np.uint16), TensorProto.BFLOAT16)
    value = ort.OrtValue.ortvalue_from_shape_and_type([x.size], TensorProto.BFLOAT16, *daybreak.memory)
    ort.copy_tensors([on_cpu], [value])
    back = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(x.size, np.uint16), TensorProto.BFLOAT16)
    ort.copy_tensors([value], [back])
    assert back.data_type() == "tensor(bfloat16)"
    bits = ort.OrtValue.ortvalue_from_numpy(np.zeros(x.size, np.uint16))
    assert bits.shape() == back.shape()
