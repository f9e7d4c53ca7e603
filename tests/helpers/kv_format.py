"""Rows of a quantised KV cache in NumPy, written from docs/kv-cache.md.

A row stands for one head vector: 32 bits with a float, then the numbers of the elements, of 8 or 4 bits, in a tensor of
the model's type.
"""

from __future__ import annotations

import functools
import math

import numpy as np

_X = np.arange(16) - 7.5
LEVELS = _X * (0.25493393306 + 1.3316769824e-3 * _X**2 - 1.6171441377e-5 * _X**4 + 4.8102292061e-7 * _X**6)


def row_elements(head: int, bits: int, dtype: np.dtype) -> int:
    """Elements of a row in a tensor of this type."""
    return (head * bits + 32) // (8 * dtype.itemsize)


def pack(x: np.ndarray, bits: int) -> np.ndarray:
    """x [..., head] as rows of a cache of x's type."""
    wide = x.astype(np.float64)
    if bits == 8:
        factor = np.abs(wide).max(axis=-1, initial=0) / 127
        body = np.rint(wide / safe(factor)).astype(np.int8).view(np.uint8)
    else:
        factor = np.linalg.norm(wide, axis=-1)
        numbers = np.abs(unit(wide)[..., None] - LEVELS).argmin(axis=-1)
        body = numbers[..., ::2] | numbers[..., 1::2] << 4
    header = np.ascontiguousarray(factor.astype(np.float32)[..., None]).view(np.uint8)
    rows = np.concatenate([header, body.astype(np.uint8)], axis=-1)
    return np.ascontiguousarray(rows).view(x.dtype)


def safe(factor: np.ndarray) -> np.ndarray:
    """What elements of rows are divided by."""
    return np.where(factor > 0, factor, 1)[..., None]


@functools.cache
def hadamard(size: int) -> np.ndarray:
    """The symmetric orthogonal matrix of entries +-1 / sqrt(size)."""
    odd = [[(i & j).bit_count() % 2 for j in range(size)] for i in range(size)]
    matrix: np.ndarray = (1 - 2 * np.array(odd)) / math.sqrt(size)
    return matrix


def unit(x: np.ndarray) -> np.ndarray:
    """Rows turned and scaled to a root mean square of 1."""
    size = x.shape[-1]
    turned: np.ndarray = x @ hadamard(size) / safe(np.linalg.norm(x, axis=-1) / math.sqrt(size))
    return turned


def unpack(rows: np.ndarray, bits: int) -> np.ndarray:
    """The float64 vectors that rows of a cache stand for."""
    raw = np.ascontiguousarray(rows).view(np.uint8)
    factor = np.ascontiguousarray(raw[..., :4]).view(np.float32).astype(np.float64)
    if bits == 8:
        return raw[..., 4:].view(np.int8) * factor
    size = 2 * (raw.shape[-1] - 4)
    result: np.ndarray = LEVELS[numbers_of(raw)] * factor / math.sqrt(size) @ hadamard(size)
    return result


def numbers_of(raw: np.ndarray) -> np.ndarray:
    """The numbers of 4 bits of rows of bytes."""
    pairs = np.stack([raw[..., 4:] & 15, raw[..., 4:] >> 4], axis=-1)
    return pairs.reshape(*raw.shape[:-1], 2 * pairs.shape[-2])


def packing_error(rows: np.ndarray, x: np.ndarray, bits: int) -> str:
    """ "" where rows hold x as well as they can, else what is wrong. f32 arithmetic may pick either of two numbers that
    are as good."""
    if bits == 4:
        raw = np.ascontiguousarray(rows).view(np.uint8)
        norms = np.ascontiguousarray(raw[..., :4]).view(np.float32)[..., 0]
        if not np.allclose(norms, np.linalg.norm(x, axis=-1), rtol=1e-4, atol=0):
            return "a row's norm is wrong"
        away = np.abs(unit(x)[..., None] - LEVELS)
        chosen = np.take_along_axis(away, numbers_of(raw)[..., None].astype(np.int64), -1)[..., 0]
        off = chosen - away.min(axis=-1)
        return "" if (off < 1e-4).all() else f"a level is further than the nearest by {off.max():.4g}"
    step = np.abs(x).max(axis=-1, initial=0, keepdims=True) / 127
    off = np.abs(unpack(rows, bits) - x) / np.where(step > 0, step, 1)
    return "" if (off <= 0.502).all() else f"off by up to {off.max():.4g} steps"
