"""MatMulNBits: bits, block sizes, zero points, bias, odd sizes and few to many rows."""

from __future__ import annotations

from cases import Arg, case, const, f16, f32, u8


def matmul_nbits(
    m: int, n: int, k: int, bits: int, block: int, *, zeros: str = "", bias: bool = False, half: bool = True,
    batch: tuple[int, ...] = (), outliers: float = 0.0,
) -> None:
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
    case("MatMulNBits", *inputs, domain="com.microsoft", K=k, N=n, bits=bits, block_size=block)


for half in (False, True):
    for bits in (2, 4, 8):
        for block in (16, 32, 128):
            for zeros in ("", "u8", "float"):
                matmul_nbits(1, 33, 160, bits, block, zeros=zeros, half=half)
                matmul_nbits(5, 7, 93, bits, block, zeros=zeros, half=half)
        matmul_nbits(33, 130, 1234, bits, 64, zeros="u8", bias=True, half=half)
    for m, n, k in [(1, 1, 16), (1, 2, 32), (2, 288, 192), (8, 32, 1024), (100, 65, 128), (300, 96, 64)]:
        matmul_nbits(m, n, k, 4, 32, half=half)
    matmul_nbits(3, 40, 96, 4, 32, batch=(2, 4), half=half)
    matmul_nbits(0, 40, 96, 4, 32, half=half)
    matmul_nbits(1, 64, 4096, 4, 32, half=half)
matmul_nbits(1, 64, 512, 4, 32, outliers=800.0)
matmul_nbits(64, 64, 512, 4, 256, outliers=800.0)
matmul_nbits(2, 300000, 32, 4, 32)
