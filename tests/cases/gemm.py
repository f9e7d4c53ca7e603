"""MatMul, Gemm and FusedMatMul: broadcasting, 1-D operands, transposes, odd sizes, every type."""

from __future__ import annotations

from cases import bf16, case, const, f16, f32, i32, i64, u32, u64

for real in (f32, f16):
    for a, b in [
        ((3, 5), (5, 7)),
        ((1, 64), (64, 128)),
        ((7, 93), (93, 36)),
        ((130, 66), (66, 200)),
        ((70, 32), (32, 64)),
        ((5,), (5,)),
        ((5,), (5, 4)),
        ((3, 5), (5,)),
        ((2, 3, 5), (5,)),
        ((5,), (3, 5, 4)),
        ((2, 3, 17, 5), (5, 33)),
        ((2, 3, 17, 5), (2, 3, 5, 33)),
        ((2, 1, 17, 8), (1, 3, 8, 36)),
        ((4, 8), (2, 3, 8, 40)),
        ((3, 1, 20, 64), (1, 2, 64, 24)),
    ]:
        case("MatMul", real(*a), real(*b))
    case("MatMul", real(1, 1024), const(real(1024, 516)))
    case("MatMul", real(6, 512), const(real(512, 68)))
    case("MatMul", real(1, 12, 33, 64), real(1, 12, 64, 33))
    case("MatMul", real(200, 256, outliers=100.0), real(256, 132))
    for m, k, n in [(1, 16, 8), (5, 33, 7), (64, 48, 40), (130, 70, 90)]:
        for trans_a in (0, 1):
            for trans_b in (0, 1):
                a = real(k, m) if trans_a else real(m, k)
                b = real(n, k) if trans_b else real(k, n)
                case("Gemm", a, b, real(n), transA=trans_a, transB=trans_b)
    for bias in [(), (1,), (20,), (1, 20), (12, 1), (12, 20), (1, 1)]:
        case("Gemm", real(12, 24), real(24, 20), real(*bias), alpha=0.5, beta=0.25)
    case("Gemm", real(12, 24), real(24, 20), alpha=2.0, beta=3.0)
    case("Gemm", real(1, 512), const(real(260, 512)), const(real(260)), transB=1, opset=[9, 11, 24])
    for m in (2, 4):
        case("Gemm", real(m, 512), const(real(33, 512)), const(real(33)), transB=1, alpha=0.5)
    case("FusedMatMul", real(3, 4, 64), real(3, 24, 64), transB=1)
    case("Gemm", real(0, 24), real(24, 20), real(20))
    case("Gemm", real(8, 64), const(real(64, 4)), const(real(4)))

for a, b in [((3, 5), (5, 7)), ((2, 4, 6), (6, 3)), ((4,), (2, 4, 3)), ((66, 40), (40, 72))]:
    for whole in (i32, u32, i64, u64):
        case("MatMul", whole(*a), whole(*b))
case("MatMul", i64(3, 4, low=-(2**40), high=2**40), i64(4, 5, low=-1000, high=1000))
case("MatMul", f32(0, 4), f32(4, 3))
case("MatMul", f32(2, 0, 4), f32(4, 3))
case("MatMul", f32(3, 0), f32(0, 5))
case("MatMul", f32(70000, 2), f32(2, 3))
case("MatMul", f32(3, 40), f32(40, 24), opset=[1, 9, 13])
case("MatMul", bf16(5, 32), bf16(32, 9))
case("Gemm", bf16(5, 32), bf16(9, 32), bf16(9), transB=1)

for trans_a in (0, 1):
    for trans_b in (0, 1):
        a = f32(2, 24, 10) if trans_a else f32(2, 10, 24)
        b = f32(2, 12, 24) if trans_b else f32(2, 24, 12)
        case("FusedMatMul", a, b, transA=trans_a, transB=trans_b, alpha=0.125)
        a = f32(24, 3, 10) if trans_a else f32(10, 3, 24)
        b = f32(12, 3, 24) if trans_b else f32(24, 3, 12)
        case("FusedMatMul", a, b, transA=trans_a, transB=trans_b, transBatchA=1, transBatchB=1)
case("FusedMatMul", f16(3, 33, 64), f16(3, 40, 64), transB=1, alpha=0.125)
