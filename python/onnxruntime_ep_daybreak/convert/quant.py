"""Maps GGUF's quantised blocks to what MatMulNBits and GatherBlockQuantized read.

MatMulNBits (and the 3-D form of GatherBlockQuantized) store a matrix of N rows and K columns as
  data    uint8 [N, K/block, block*bits/8]  consecutive elements from the low bits up
  scales  float [N, K/block]
  zeros   float [N, K/block] or none, which means 2^(bits-1)
with the value scale * (q - zero). Block formats: ggml-common.h and ggml-quants.c of the GGML project.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

from .errors import ConversionError

PLAIN = {Q.F32, Q.F16, Q.BF16}


@dataclass(frozen=True)
class Plain:
    """A weight kept as floating-point numbers: values [N, K] in f32 or f16, as the file has them."""

    values: np.ndarray

    def rows(self, index: np.ndarray | slice) -> Plain:
        return Plain(self.values[index])


@dataclass(frozen=True)
class Blocks:
    """A block-quantised weight in MatMulNBits' layout; scales in f32 until they are stored."""

    bits: int
    block: int
    data: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray | None = None

    def rows(self, index: np.ndarray | slice) -> Blocks:
        zeros = None if self.zeros is None else self.zeros[index]
        return replace(self, data=self.data[index], scales=self.scales[index], zeros=zeros)

    def like(self, other: Blocks) -> bool:
        """True where the rows of both can be stacked in one weight."""
        same = self.bits == other.bits and self.block == other.block
        return same and (self.zeros is None) == (other.zeros is None)

    def dequantize(self) -> np.ndarray:
        """The values [N, K] in f32 as a kernel with f32 arithmetic sees them."""
        q = unpack(self.data, self.bits).astype(np.float32)
        zero = np.float32(1 << (self.bits - 1)) if self.zeros is None else self.zeros[..., None]
        return (self.scales[..., None] * (q - zero)).reshape(q.shape[0], -1)

    def rounded(self, dtype: type[np.floating]) -> Blocks:
        """The same blocks with scales that `dtype` represents; zero points follow, so that offsets stay."""
        scales = self.scales.astype(dtype).astype(np.float32)
        if not np.isfinite(scales).all():
            raise ConversionError(
                f"a block scale exceeds the range of {np.dtype(dtype).name}; use --dtype f32"
            )
        if self.zeros is None or np.array_equal(scales, self.scales):
            return replace(self, scales=scales)
        q = unpack(self.data, self.bits)
        return _affine(self.bits, self.block, q, scales, -self.zeros * self.scales)


Weight = Plain | Blocks


def stack(weights: list[Weight]) -> Weight | None:
    """One weight with the rows of all, or None where their formats differ."""
    first = weights[0]
    if isinstance(first, Plain):
        plain = [w.values for w in weights if isinstance(w, Plain) and w.values.dtype == first.values.dtype]
        return Plain(np.concatenate(plain)) if len(plain) == len(weights) else None
    blocks = [w for w in weights if isinstance(w, Blocks) and first.like(w)]
    if len(blocks) != len(weights):
        return None
    zeros = [b.zeros for b in blocks if b.zeros is not None]
    return replace(
        first,
        data=np.concatenate([b.data for b in blocks]),
        scales=np.concatenate([b.scales for b in blocks]),
        zeros=np.concatenate(zeros) if zeros else None,
    )


def pack(q: np.ndarray, bits: int) -> np.ndarray:
    """Packs uint8 values [..., n] to bytes [..., n*bits/8], the first value in the lowest bits."""
    per = 8 // bits
    out = np.zeros((*q.shape[:-1], q.shape[-1] // per), np.uint8)
    for i in range(per):
        out |= q[..., i::per] << (bits * i)
    return out


def unpack(data: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of `pack`."""
    per, mask = 8 // bits, (1 << bits) - 1
    out = np.empty((*data.shape[:-1], data.shape[-1] * per), np.uint8)
    for i in range(per):
        out[..., i::per] = (data >> (bits * i)) & mask
    return out


def _f16(raw: np.ndarray, at: int) -> np.ndarray:
    """The f16 field at byte `at` of each block, as f32: [N, blocks, bytes] -> [N, blocks]."""
    return np.ascontiguousarray(raw[..., at : at + 2]).view(np.float16)[..., 0].astype(np.float32)


def _halves(qs: np.ndarray) -> np.ndarray:
    """Nibbles of a legacy block: all low halves first, then all high halves."""
    return np.concatenate([qs & 15, qs >> 4], axis=-1)


def _affine(bits: int, block: int, q: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> Blocks:
    """Blocks whose values are scale * q + offset, through the zero point -offset/scale.

    A block without a scale is constant: it is stored as q = 0 with the scale |offset| and the zero point
    -sign(offset), which gives the offset exactly.
    """
    flat = scale == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        zeros = np.where(flat, -np.sign(offset), -offset / scale).astype(np.float32)
    q = np.where(flat[..., None], np.uint8(0), q)
    return Blocks(bits, block, pack(q, bits), np.where(flat, np.abs(offset), scale), zeros)


def _q4_0(raw: np.ndarray) -> Blocks:
    return Blocks(4, 32, pack(_halves(raw[..., 2:]), 4), _f16(raw, 0))


def _q4_1(raw: np.ndarray) -> Blocks:
    return _affine(4, 32, _halves(raw[..., 4:]), _f16(raw, 0), _f16(raw, 2))


def _q5_0(raw: np.ndarray) -> Blocks:
    high = np.unpackbits(raw[..., 2:6], axis=-1, bitorder="little")
    q = _halves(raw[..., 6:]) | (high << 4)
    return Blocks(8, 32, q + np.uint8(128 - 16), _f16(raw, 0))


def _q8_0(raw: np.ndarray) -> Blocks:
    return Blocks(8, 32, raw[..., 2:] ^ np.uint8(128), _f16(raw, 0))


def _q4_k(raw: np.ndarray) -> Blocks:
    """256 values: d, dmin, eight 6-bit scales and minima in 12 bytes, then nibbles in groups of 64."""
    n, supers = raw.shape[:2]
    packed = raw[..., 4:16]
    low, mid, top = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scale = np.concatenate([low & 63, (top & 15) | ((low >> 6) << 4)], axis=-1)
    minimum = np.concatenate([mid & 63, (top >> 4) | ((mid >> 6) << 4)], axis=-1)
    qs = raw[..., 16:].reshape(n, supers, 4, 1, 32)
    q = np.concatenate([qs & 15, qs >> 4], axis=-2).reshape(n, supers * 8, 32)
    d = (_f16(raw, 0)[..., None] * scale).reshape(n, -1)
    m = (_f16(raw, 2)[..., None] * minimum).reshape(n, -1)
    return _affine(4, 32, q, d, -m)


def _q6_k(raw: np.ndarray) -> Blocks:
    """256 values: low nibbles (128 bytes), high pairs (64), sixteen int8 scales, d."""
    n, supers = raw.shape[:2]
    low = raw[..., :128].reshape(n, supers, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=-2).reshape(n, supers, 2, 4, 32)
    high = raw[..., 128:192].reshape(n, supers, 2, 1, 32)
    high = (high >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 1, 4, 1)) & 3
    q = (low | (high << 4)).reshape(n, supers * 16, 16)
    scale = np.ascontiguousarray(raw[..., 192:208]).view(np.int8).astype(np.float32)
    d = (_f16(raw, 208)[..., None] * scale).reshape(n, -1)
    return Blocks(8, 16, q + np.uint8(128 - 32), d)


_DIRECT: dict[Q, Callable[[np.ndarray], Blocks]] = {
    Q.Q4_0: _q4_0,
    Q.Q4_1: _q4_1,
    Q.Q5_0: _q5_0,
    Q.Q8_0: _q8_0,
    Q.Q4_K: _q4_k,
    Q.Q6_K: _q6_k,
}


def quantize8(values: np.ndarray, block: int = 32) -> Blocks:
    """Symmetric 8-bit blocks of f32 values [N, K], the fallback for formats that have no exact form."""
    x = values.reshape(values.shape[0], -1, block)
    scales = np.abs(x).max(axis=-1) / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(scales[..., None] == 0, 0, np.rint(x / scales[..., None]))
    return Blocks(8, block, (q + 128).astype(np.uint8), scales)


def load(tensor: gguf.ReaderTensor) -> tuple[Weight, Weight]:
    """A 2-D GGUF tensor as it is, and as MatMulNBits or MatMul can hold it.

    Both are the same object where the format can be held, else floating-point values and 8-bit blocks.
    """
    kind = tensor.tensor_type
    if len(tensor.shape) != 2:
        raise ConversionError(
            f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions; a matrix is needed"
        )
    if kind in PLAIN:
        values = gguf.dequantize(tensor.data, kind) if kind == Q.BF16 else np.asarray(tensor.data)
        plain = Plain(_finite(values, tensor.name))
        return plain, plain
    read = _DIRECT.get(kind)
    if read is not None:
        size = gguf.GGML_QUANT_SIZES[kind][1]
        blocks = read(np.asarray(tensor.data).reshape(tensor.data.shape[0], -1, size))
        _finite(blocks.scales, tensor.name)
        return blocks, blocks
    try:
        values = gguf.dequantize(tensor.data, kind)
    except NotImplementedError as e:
        raise ConversionError(
            f"tensor '{tensor.name}' has the type {kind.name}, which is not supported"
        ) from e
    return Plain(_finite(values, tensor.name)), quantize8(values)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ConversionError(f"tensor '{name}' holds values that are not finite")
    return values
