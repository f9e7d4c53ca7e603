"""MatMulNBits and its fused forms: bits, block sizes, zero points, bias, odd sizes and few to many rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Arg, case, const, f16, f32, u8

Array = np.ndarray[Any, np.dtype[Any]]


def unpack(packed: Array, bits: int) -> Array:
    """Fields of `bits` bits of the last axis of bytes, low bits first."""
    fields = (packed[..., None] >> np.arange(0, 8, bits, dtype=np.uint8)) & (2**bits - 1)
    return fields.reshape(*packed.shape[:-1], -1).astype(np.float64)


def dequantise(w: Array, scales: Array, zeros: Array | None, k: int, bits: int) -> Array:
    """The weights [N, K] of blocks [N, blocks, bytes]."""
    n, blocks, _ = w.shape
    if zeros is None:
        zero = np.full((n, blocks), 2.0 ** (bits - 1))
    elif zeros.dtype == np.uint8:
        zero = unpack(zeros.reshape(n, -1), bits)[:, :blocks]
    else:
        zero = zeros.reshape(n, blocks).astype(np.float64)
    values = (unpack(w, bits) - zero[..., None]) * scales.reshape(n, blocks, 1).astype(np.float64)
    return values.reshape(n, -1)[:, :k]


def product_ref(x: Array, w: Array, scales: Array, zeros: Array | None = None, _: Any = None,
                bias: Array | None = None, *, K: int, N: int, bits: int, block_size: int) -> Array:  # fmt: skip
    y = x.astype(np.float64) @ dequantise(w, scales, zeros, K, bits).T
    return y if bias is None else y + bias.astype(np.float64)


def matmul_nbits(
    m: int, n: int, k: int, bits: int, block: int, *, zeros: str = "", bias: bool = False, half: bool = True,
    batch: tuple[int, ...] = (), outliers: float = 0.0,
) -> None:  # fmt: skip
    """One case: `zeros` is "", "u8" or "float"."""
    real = f16 if half else f32
    blocks = -(-k // block)
    inputs: list[Arg | None] = [
        real(*batch, m, k, outliers=outliers),
        const(u8(n, blocks, block * bits // 8)),
        const(real(n, blocks, low=0.001, high=0.02)),
    ]
    if zeros == "u8":
        inputs.append(const(u8(n, -(-blocks * bits // 8))))
    elif zeros == "float":
        inputs.append(const(real(n, blocks, low=0.0, high=float(2**bits))))
    else:
        inputs.append(None)
    inputs += [None, const(real(n))] if bias else []
    case("MatMulNBits", *inputs, ref=product_ref, K=k, N=n, bits=bits, block_size=block)


for half in (False, True):
    for bits in (2, 4, 8):
        for block in (16, 32, 128):
            for zeros in ("", "u8", "float"):
                matmul_nbits(1, 33, 160, bits, block, zeros=zeros, half=half)
                matmul_nbits(5, 7, 93, bits, block, zeros=zeros, half=half)
        matmul_nbits(33, 130, 1234, bits, 64, zeros="u8", bias=True, half=half)
        matmul_nbits(128, 128, 256, bits, 32, bias=True, half=half)
    for m, n, k in [(1, 1, 16), (1, 2, 32), (2, 288, 192), (8, 32, 1024), (100, 65, 128), (300, 96, 64)]:
        matmul_nbits(m, n, k, 4, 32, half=half)
    matmul_nbits(3, 40, 96, 4, 32, batch=(2, 4), half=half)
    matmul_nbits(1, 40, 576, 4, 32, batch=(2, 3), half=half)
    matmul_nbits(0, 40, 96, 4, 32, half=half)
    matmul_nbits(1, 64, 4096, 4, 32, half=half)
    matmul_nbits(2, 20, 8192, 4, 32, half=half)
    matmul_nbits(1, 8200, 576, 4, 32, half=half)
matmul_nbits(1, 64, 512, 4, 32, outliers=800.0)
matmul_nbits(64, 64, 512, 4, 256, outliers=800.0)
matmul_nbits(2, 300000, 32, 4, 32)
case("MatMulNBits", f32(1, 64), const(u8(8, 2, 16)), const(f32(8, 2)), None, const([0] * 64, "i32"), K=64, N=8, bits=4,
     block_size=32, declined="g_idx")  # fmt: skip
case("MatMulNBits", f32(1, 64), const(u8(8, 2, 12)), const(f32(8, 2)), K=64, N=8, bits=3, block_size=32,
     declined="bits is 3")  # fmt: skip


def normalise(x: Array, skip: Array | None, scale: Array | None, eps: float) -> tuple[Array, Array]:
    """RMS norm of x + skip in float64, and x + skip."""
    total = x.astype(np.float64)
    if skip is not None:
        total = total + skip.astype(np.float64)
    if scale is None:
        return total, total
    inverse = 1.0 / np.sqrt(np.mean(total**2, axis=-1, keepdims=True) + eps)
    return total * inverse * scale.astype(np.float64), total


def with_bias(x: Array, w: Array, scales: Array, bias: Array | None, k: int, bits: int) -> Array:
    y = x @ dequantise(w, scales, None, k, bits).T
    return y if bias is None else y + bias.astype(np.float64)


def qkv_ref(x: Array, skip: Array | None, scale: Array, *weights: Array | None, K: int, Nq: int, Nkv: int, bits: int,
            block_size: int, epsilon: float = 1e-6) -> tuple[Array, ...]:  # fmt: skip
    h, total = normalise(x, skip, scale, epsilon)
    rest = [*weights, None]
    return (*(with_bias(h, *rest[i : i + 3], K, bits) for i in (0, 3, 6)), total)  # type: ignore[arg-type]


def mlp_ref(x: Array, skip: Array | None, scale: Array | None, *weights: Array | None, K: int, N: int, bits: int,
            block_size: int, activation: str, epsilon: float = 1e-5) -> tuple[Array, ...]:  # fmt: skip
    h, total = normalise(x, skip, scale, epsilon)
    rest = [*weights, None]
    gate, up = (with_bias(h, *rest[i : i + 3], K, bits) for i in (0, 3))  # type: ignore[arg-type]
    return gate / (1.0 + np.exp(-gate)) * up, total


def first(count: int, ref: Callable[..., tuple[Array, ...]]) -> Callable[..., tuple[Array, ...]]:
    """`ref` without its outputs after the first `count`."""
    return lambda *inputs, **attributes: ref(*inputs, **attributes)[:count]


def fused(
    m: int, n: int, kv: int, k: int, *, bits: int = 4, block: int = 32, half: bool = True, skip: str = "",
    sum_: bool = False, bias: bool = False, norm: bool = True, mlp: bool = True,
) -> None:  # fmt: skip
    """A case of MatMulNBitsQkv and one of MatMulNBitsMlp. `skip` is "", "same" or "row"."""
    real = f16 if half else f32
    blocks = -(-k // block)
    skips = {"": None, "same": real(1, m, k), "row": real(1, 1, k)}[skip]
    head = [real(1, m, k), skips, const(real(k, low=0.5, high=1.5)) if norm else None]

    def weight(columns: int) -> list[Arg | None]:
        w = const(u8(columns, blocks, block * bits // 8))
        return [w, const(real(columns, blocks, low=0.001, high=0.02)), const(real(columns)) if bias else None]

    common: dict[str, Any] = {"K": k, "bits": bits, "block_size": block}
    if norm:
        out = 4 if sum_ else 3
        args = [*head, *weight(n), *weight(kv), *weight(kv)]
        case("MatMulNBitsQkv", *args, out=out, ref=first(out, qkv_ref), Nq=n, Nkv=kv, epsilon=1e-5, **common)
    if mlp:
        args = [*head, *weight(n), *weight(n)]
        why = "many rows pass the norm's result, gate and up through memory in f16"
        wider: dict[str, Any] = {"tol": 4e-3, "atol": 2e-3, "why": why} if half and m > 8 else {}
        out = 1 + sum_
        case(
            "MatMulNBitsMlp",
            *args,
            out=out,
            ref=first(out, mlp_ref),
            N=n,
            activation="silu",
            **wider,
            **common,
        )


for half in (False, True):
    for m in (1, 2, 5, 40):
        fused(m, 96, 32, 128, half=half)
        fused(m, 72, 24, 576, half=half, skip="same", sum_=True)
    for bits in (2, 8):
        fused(1, 64, 32, 256, bits=bits, half=half, skip="same", sum_=True)
    fused(1, 64, 32, 256, block=128, half=half, skip="same")
    fused(3, 64, 32, 256, half=half, skip="row", sum_=True)
    fused(1, 64, 32, 256, half=half, bias=True, skip="same", sum_=True)
    fused(9, 64, 32, 256, half=half, bias=True)
    fused(1, 40, 20, 93, block=16, half=half, skip="same", sum_=True)
    fused(1, 64, 32, 256, half=half, norm=False)
fused(1, 1100, 260, 2048, half=True, skip="same", sum_=True)
