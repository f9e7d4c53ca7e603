"""Cast and CastLike: every pair of types, extremes, rounding, sizes that fill no whole word."""

import numpy as np
import onnx

from cases import BY_NAME, DTYPES, NEWEST, case, const, data

TYPES = ("f32", "f16", "bf16", "i32", "u32", "i64", "u64", "i8", "u8", "i16", "u16", "bool", "f64")
INF, NAN = np.inf, np.nan


def converted(x, to):
    """The oracle where the CPU EP lacks a pair; the values are in range of both types."""
    return x.astype(next(n for t, n, _ in DTYPES.values() if t == to))


for source in TYPES:
    for target in TYPES:
        unsigned = "u" in (source[0], target[0]) or "bool" in (source, target)
        arg = {"low": 0 if unsigned else -100, "high": 1 if source == "bool" else 100}
        for shape in ((), (3,), (5, 13), (64,), (0, 2)):
            case("Cast", BY_NAME[source](*shape, **arg), to=DTYPES[target][0], ref=converted, oracle="cpu")
for target in ("i4", "u4"):
    for source in ("i8", "u8", "f32", "i32"):
        low = 0 if "u" in (target[0], source[0]) else -8
        case("Cast", BY_NAME[source](13, low=low, high=7), to=DTYPES[target][0], opset=21)
    for to in ("i8", "u8", "f32", "f16"):
        for n in (1, 7, 16):
            value = np.arange(n) % 8 - (4 if target == "i4" and to != "u8" else 0)
            case("Cast", const(BY_NAME[target](value=value)), to=DTYPES[to][0], opset=21)
for target in ("i4", "u4"):
    ties = [2.5, 3.5, 0.5, 1.5, -2.5, -0.5, 9, -9, 20, 0.49999997, 2.4, 2.6]
    case("Cast", data(ties, "f32"), to=DTYPES[target][0], opset=21, id=f"Cast of ties to {target}")
# Out of range: what the CPU EP's conversions give.
for target in ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"):
    extremes = [3e9, -3e9, 1e20, -1e20, NAN, INF, -INF, 300, -1, -300.7, 2.9, 70000, 5e9, 1.9e19, -0.5, 1e-30]
    case("Cast", data(extremes, "f32"), to=DTYPES[target][0], id=f"Cast of extreme f32 to {target}")
for source in ("i32", "i64"):
    for target in ("i8", "u8", "i16", "u16", "i32", "u32", "u64", "f32"):
        values = [2**31 - 1, -(2**31), 65535, 65536, -1, 300, 16777217, 33554435, -16777219]
        if source == "i64":
            values += [2**40 + 2**16 + 1, -(2**63), 2**63 - 1, 2**53 + 1, 9007199791611905]
        case("Cast", data(values, source), to=DTYPES[target][0], id=f"Cast of extreme {source} to {target}")
case("Cast", data(np.array([2**64 - 1, 2**63, 2**63 + 2**39, 2**24 + 1], np.uint64), "u64"), to=onnx.TensorProto.FLOAT,
     ref=converted)  # fmt: skip
# f32 to f16 and bf16: ties to even, overflow to infinity, subnormals.
HALVES = [
    1 + 2**-11,
    1 + 3 * 2**-11,
    65519,
    65520,
    -70000,
    2**-24,
    2**-25,
    1.5 * 2**-24,
    3 * 2**-26,
    -(2**-14),
    6e-5,
    NAN,
    INF,
]
case(
    "Cast",
    data(HALVES, "f32"),
    to=onnx.TensorProto.FLOAT16,
    tol=0.0,
    atol=0.0,
    oracle="cpu",
    id="Cast to f16 rounds",
)
case("Cast", data([2**-24, 2**-15, 65504, -INF, NAN], "f16"), to=onnx.TensorProto.FLOAT, tol=0.0, atol=0.0)
BRAINS = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, -3.3953e38, 1e-39, NAN, INF]
case(
    "Cast",
    data(BRAINS, "f32"),
    to=onnx.TensorProto.BFLOAT16,
    tol=0.0,
    atol=0.0,
    ref=converted,
    id="Cast to bf16 rounds",
)
for opset in (6, 9, 13, 19, 21, 23, NEWEST):
    case("Cast", BY_NAME["f32"](3, 5), to=onnx.TensorProto.FLOAT16, opset=opset)
    case("Cast", BY_NAME["i32"](3, 5), to=onnx.TensorProto.INT64, opset=opset)
for target in ("f16", "i64", "bool"):
    case("CastLike", BY_NAME["f32"](3, 5), BY_NAME[target](2), ref=lambda x, like: x.astype(like.dtype))
case("Cast", BY_NAME["f32"](4096, 4096), to=onnx.TensorProto.FLOAT16, perf=True)

# float64, which the device knows as bits only.
DOUBLES = [
    1 + 2**-24,
    1 + 3 * 2**-24,
    1 + 2**-24 + 2**-50,
    1e300,
    -1e300,
    3.4028235677973366e38,
    1e-310,
    2**-149,
    2**-150,
]
DOUBLES += [1.5 * 2**-149, 3 * 2**-150, -(2**-126) + 2**-150, 0.0, -0.0, np.nan, np.inf, -np.inf, 1e-46]
case(
    "Cast", data(DOUBLES, "f64"), to=onnx.TensorProto.FLOAT, tol=0.0, atol=0.0, id="Cast of f64 to f32 rounds"
)
case("Cast", data([1.5, -(2**-149), 2**-130, 3.4e38, np.nan, np.inf, -0.0], "f32"), to=onnx.TensorProto.DOUBLE,
     tol=0.0, atol=0.0, id="Cast of f32 to f64")  # fmt: skip
for source in ("i64", "u64"):
    wide = [2**53 + 1, 2**53 + 3, 2**62 + 2**9, 2**63 - 1, 5, 0, 2**54 + 2]
    case(
        "Cast",
        data(wide, source),
        to=onnx.TensorProto.DOUBLE,
        tol=0.0,
        atol=0.0,
        id=f"Cast of {source} to f64",
    )
for target in ("i8", "u8", "i16", "u16", "i32", "i64", "bool"):
    extremes = [
        3e9,
        -3e9,
        1e20,
        -1e20,
        NAN,
        INF,
        -INF,
        300,
        -1,
        -300.7,
        2.9,
        70000,
        2.0**53 + 2,
        -0.5,
        1e-300,
    ]
    case("Cast", data(extremes, "f64"), to=DTYPES[target][0], id=f"Cast of extreme f64 to {target}")
case("BitCast", BY_NAME["f32"](3, 5), to=onnx.TensorProto.INT32, opset=26, ref=lambda x, to: bits(x))


def bits(x):
    return x.astype(np.float32).view(np.int32)
