"""Rows of a quantised KV cache in NumPy, written from docs/kv-cache.md.

A row stands for one head vector: 32 bits with a float, then the numbers of the elements, of 8 or 4 bits, in a tensor of
the model's type.
"""

from __future__ import annotations

import numpy as np


def row_elements(head: int, bits: int, dtype: np.dtype) -> int:
    """Elements of a row in a tensor of this type."""
    return (head * bits + 32) // (8 * dtype.itemsize)


def pack(x: np.ndarray, bits: int) -> np.ndarray:
    """x [..., head] as rows of a cache of x's type."""
    numbers, factor = quantise(x.astype(np.float64), bits)
    body = (
        numbers.astype(np.int8).view(np.uint8) if bits == 8 else numbers[..., ::2] | numbers[..., 1::2] << 4
    )
    header = np.ascontiguousarray(factor.astype(np.float32)[..., None]).view(np.uint8)
    rows = np.concatenate([header, body.astype(np.uint8)], axis=-1)
    return np.ascontiguousarray(rows).view(x.dtype)


def quantise(x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and the float of each row: x / 127 of the largest magnitude."""
    assert bits == 8
    factor = np.abs(x).max(axis=-1, initial=0) / 127
    return np.rint(x / np.where(factor > 0, factor, 1)[..., None]).astype(np.int64), factor


def unpack(rows: np.ndarray, bits: int) -> np.ndarray:
    """The float64 vectors that rows of a cache stand for."""
    raw = np.ascontiguousarray(rows).view(np.uint8)
    factor = np.ascontiguousarray(raw[..., :4]).view(np.float32).astype(np.float64)
    assert bits == 8
    return raw[..., 4:].view(np.int8) * factor


def packing_error(rows: np.ndarray, x: np.ndarray, bits: int) -> str:
    """ "" where rows hold x as well as they can, else what is wrong. f32 arithmetic may pick either of two numbers that
    are as good."""
    step = np.abs(x).max(axis=-1, initial=0, keepdims=True) / 127
    off = np.abs(unpack(rows, bits) - x) / np.where(step > 0, step, 1)
    return "" if (off <= 0.502).all() else f"off by up to {off.max():.4g} steps"
