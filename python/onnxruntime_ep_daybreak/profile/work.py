"""Bytes and floating-point operations of a dispatch, from the shapes that its event carries.

They are those of the algorithm, each tensor moved once, so that a rate compares with what the device can do.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_ATTENTION = ("GroupQueryAttention", "MultiHeadAttention", "Attention", "PagedAttention")
_PRODUCTS = ("matmul", "gemm", "conv")


@dataclass(frozen=True)
class Tensor:
    dtype: str
    dims: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.dims)

    @property
    def size(self) -> int:
        """Bytes of an element."""
        bits = re.search(r"\d+", self.dtype)
        return max(int(bits.group()) // 8, 1) if bits else 1


def parse(shapes: str) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of "f32[1,8] f32[8] -> f32[1,8]"."""
    sides = shapes.split("->")

    def side(text: str) -> list[Tensor]:
        found = re.findall(r"(\w+)\[([\d,]*)\]", text)
        return [Tensor(t, tuple(int(n) for n in dims.split(",") if n)) for t, dims in found]

    return side(sides[0]), side(sides[1]) if len(sides) > 1 else []


def work(op: str, kernel: str, shapes: str, tokens: int = 0) -> tuple[float, float]:
    """Bytes and operations. `tokens`: how much of a KV cache is in use; 0 where it is not known, all of it then."""
    inputs, outputs = parse(shapes)
    if not outputs:
        return 0.0, 0.0
    if op in _ATTENTION:
        return _attention(kernel, inputs, outputs, tokens)
    moved = float(sum(t.count * t.size for t in [*inputs, *outputs]))
    if op.startswith("Gather"):
        limit = outputs[0].count  # No more is read than is written.
        moved = float(sum(min(t.count, limit) * t.size for t in inputs))
        moved += sum(t.count * t.size for t in outputs)
        return moved, float(limit)
    if kernel.startswith(_PRODUCTS) and len(inputs) > 1:
        return moved, _product(op, inputs, outputs)
    return moved, float(max(t.count for t in [*inputs[:1], *outputs]))


def _product(op: str, inputs: list[Tensor], outputs: list[Tensor]) -> float:
    """2 M N K of a matrix product, or 2 operations for each element of each filter position of a convolution."""
    x, weight, y = inputs[0], inputs[1], outputs[0]
    if not x.dims or not y.dims:
        return 0.0
    if op.startswith("MatMulNBits"):
        rows = x.count // x.dims[-1] if x.dims[-1] else 0
        columns = sum(t.dims[0] for t in inputs[1:] if t.dtype == "u8" and len(t.dims) == 3)
        return 2.0 * rows * x.dims[-1] * columns if columns else 2.0 * y.count * x.dims[-1]
    if "Conv" in op and len(weight.dims) > 2:
        filter_size = math.prod(weight.dims[1:])
        return 2.0 * (x.count if op == "ConvTranspose" else y.count) * filter_size
    depth = x.count // y.dims[0] if op == "Gemm" and y.dims[0] else x.dims[-1]
    return 2.0 * y.count * depth


def _attention(kernel: str, inputs: list[Tensor], outputs: list[Tensor], tokens: int) -> tuple[float, float]:
    """Causal attention reads the keys up to each query, 4 operations for each element of those."""
    out = outputs[-1]
    steps = out.dims[1] if len(out.dims) == 3 else 1
    appends = kernel.endswith(("append", "concat"))
    packed = len(inputs) > 2 and inputs[0] == inputs[1] == inputs[2] and inputs[0].dims[-1] != out.dims[-1]
    moved = 0.0
    keys = tokens or steps
    for tensor in [*(inputs[2:] if packed else inputs), *outputs]:
        count = tensor.count
        if len(tensor.dims) == 4 and tensor.dims[2]:
            used = min(tensor.dims[2], steps if appends else tokens or tensor.dims[2])
            keys = keys if appends else used
            count = count // tensor.dims[2] * used
        elif len(tensor.dims) == 2:
            count = min(count, steps * tensor.dims[1])  # rows of the rotary tables
        moved += count * tensor.size
    if appends or not any(len(t.dims) == 4 for t in [*inputs, *outputs]):
        return moved, float(out.count)
    seen = steps * keys - steps * (steps - 1) / 2
    return moved, 4.0 * out.count / max(steps, 1) * seen
