"""ONNX models as bytes, without the `onnx` package. Field numbers are those of onnx.proto."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

_ELEMENTS: dict[type, int] = {np.float32: 1, np.uint8: 2, np.int32: 6, np.int64: 7, np.float16: 10}
MS = "com.microsoft"


def element(dtype: type) -> int:
    """The ONNX element type of a NumPy type."""
    return _ELEMENTS[dtype]


def value(name: str, element_type: int, shape: Sequence[int | str]) -> bytes:
    """An input or output; a dimension that is a name is free."""
    dims = b"".join(_field(1, _field(1, n) if isinstance(n, int) else _field(2, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, element_type) + _field(2, dims)))


def tensor(name: str, array: np.ndarray) -> bytes:
    """A constant."""
    dims = b"".join(_field(1, n) for n in array.shape)
    return dims + _field(2, _ELEMENTS[array.dtype.type]) + _field(8, name) + _field(9, array.tobytes())


def node(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    attributes: Mapping[str, int | float] | None = None,
) -> bytes:
    """A node that is named after its first output."""
    data = b"".join(_field(1, n) for n in inputs) + b"".join(_field(2, n) for n in outputs)
    data += _field(3, outputs[0]) + _field(4, op)
    for name, given in (attributes or {}).items():
        if isinstance(given, int):
            data += _field(5, _field(1, name) + _field(3, given) + _field(20, 2))
        else:
            data += _field(
                5, _field(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", given) + _field(20, 1)
            )
    return data + _field(7, domain)


def model(
    name: str,
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    constants: Sequence[bytes] = (),
) -> bytes:
    """A serialised model."""
    graph = [_field(1, n) for n in nodes] + [_field(2, name)] + [_field(5, t) for t in constants]
    graph += [_field(11, v) for v in inputs] + [_field(12, v) for v in outputs]
    opsets = _field(8, _field(1, "") + _field(2, 17)) + _field(8, _field(1, MS) + _field(2, 1))
    return _field(1, 8) + _field(7, b"".join(graph)) + opsets


def one_node(op: str, element_type: int, inputs: list[list[int]], output: list[int]) -> bytes:
    """y = op(x0, x1, ...), all of one type."""
    names = [f"x{i}" for i in range(len(inputs))]
    values = [value(n, element_type, s) for n, s in zip(names, inputs, strict=True)]
    return model(op, [node(op, names, ["y"])], values, [value("y", element_type, output)])


def _field(number: int, content: int | str | bytes) -> bytes:
    """One field of a protocol buffer: a varint, or bytes with their length."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(n: int) -> bytes:
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])
