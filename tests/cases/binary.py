"""Elementwise operators of two operands and the variadic ones: types, broadcasting, special values."""

import numpy as np

from cases import BY_NAME, case, data

INF, NAN = np.inf, np.nan
FLOATS = ("f32", "f16", "bf16")
INTS = ("i32", "u32", "i64", "u64", "i8", "u8", "i16", "u16")
SHAPES = [
    ((), ()),
    ((5,), (5,)),
    ((8, 16), (8, 16)),
    ((3, 4), ()),
    ((), (2, 8)),
    ((1,), (7, 3)),
    ((6, 8), (8,)),
    ((6, 8), (6, 1)),
    ((5, 1), (1, 12)),
    ((2, 3, 4), (3, 1)),
    ((4, 1, 8), (4, 6, 1)),
    ((2, 1, 3, 1, 2, 1, 3, 4), (1, 2, 1, 2, 1, 2, 1, 4)),
    ((2, 2, 2, 2, 2, 2, 2, 2), (2, 1, 2, 1, 2, 1, 2, 1)),
    ((0, 3), (3,)),
    ((0,), (1,)),
    ((2, 0, 4), (2, 1, 4)),
]
ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}
COMPARE = {
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal,
}


def trunc_div(a, b):
    return (
        (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
        if a.dtype.kind == "i"
        else a // b
    )


for op in ("Add", "Sub", "Mul", "Div"):
    for a, b in SHAPES:
        for t in ("f32", "f16"):
            case(op, BY_NAME[t](*a), BY_NAME[t](*b, low=0.5, high=3))
for a, b in SHAPES:
    case("Add", BY_NAME["i64"](*a), BY_NAME["i64"](*b))
    case("Add", BY_NAME["i32"](*a), BY_NAME["i32"](*b))
    case("Add", BY_NAME["i8"](*a, low=-60, high=60), BY_NAME["i8"](*b, low=-60, high=60), ref=np.add)
    case("Greater", BY_NAME["f32"](*a), BY_NAME["f32"](*b))
    case("Equal", BY_NAME["bool"](*a), BY_NAME["bool"](*b))
    for op, ref in (("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor)):
        case(op, BY_NAME["bool"](*a), BY_NAME["bool"](*b), ref=ref)
for t in INTS:
    x, y = BY_NAME[t](3, 7), BY_NAME[t](7, low=1, high=9)
    for op, ref in ARITHMETIC.items():
        case(op, x, y, ref=ref)
    case("Div", x, y, ref=trunc_div)
    case("Mod", x, y, ref=np.mod)
    case("Mod", x, y, fmod=1, ref=lambda a, b, fmod: np.fmod(a, b))
    case("Max", x, y, ref=np.maximum)
    case("Min", x, y, ref=np.minimum)
    case("BitwiseAnd", x, y, ref=np.bitwise_and)
    case("BitwiseOr", x, y, ref=np.bitwise_or)
    case("BitwiseXor", x, y, ref=np.bitwise_xor)
    if t[0] == "u":
        case(
            "BitShift", x, BY_NAME[t](7, low=0, high=7), direction="LEFT", ref=lambda a, b, direction: a << b
        )
        case(
            "BitShift", x, BY_NAME[t](7, low=0, high=7), direction="RIGHT", ref=lambda a, b, direction: a >> b
        )
for t in (*FLOATS, *INTS):
    for op, ref in COMPARE.items():
        case(
            op, BY_NAME[t](4, 8, low=-3 if t[0] != "u" else 0, high=3), BY_NAME[t](8, low=0, high=3), ref=ref
        )
for op, ref in ARITHMETIC.items():
    case(op, BY_NAME["bf16"](3, 5), BY_NAME["bf16"](5), ref=ref)

# 64-bit integers beyond 32 bits.
BIG = [2**40 + 3, -(2**40) - 7, 2**62, -(2**63), 2**63 - 1, 4294967295, -4294967296, 12345678901234567]
OTHER = [3, 2**33, -(2**31), 1, -7, 4294967295, 2**32 + 1, -98765432101]
for op in ("Add", "Sub", "Mul", "Max", "Min", "Less", "Greater", "Equal", "Div", "Mod"):
    case(op, data(BIG, "i64"), data(OTHER, "i64"))
UNSIGNED = [v % 2**64 for v in BIG]
for op, ref in (
    *ARITHMETIC.items(),
    ("Less", np.less),
    ("Div", np.floor_divide),
    ("Mod", np.mod),
    ("Max", np.maximum),
):
    unsigned = [v % 2**64 for v in OTHER]
    case(op, data(np.array(UNSIGNED, np.uint64), "u64"), data(np.array(unsigned, np.uint64), "u64"), ref=ref)
case("BitShift", data(np.array(UNSIGNED, np.uint64), "u64"), data([0, 1, 31, 32, 33, 63, 5, 40], "u64"),
     direction="LEFT", ref=lambda a, b, direction: a << b)  # fmt: skip
case("BitShift", data(np.array(UNSIGNED, np.uint64), "u64"), data([0, 1, 31, 32, 33, 63, 5, 40], "u64"),
     direction="RIGHT", ref=lambda a, b, direction: a >> b)  # fmt: skip

for t in FLOATS:
    case("Mod", BY_NAME[t](50, low=-30, high=30), BY_NAME[t](50, low=0.5, high=7), fmod=1,
         ref=lambda a, b, fmod: np.fmod(a, b))  # fmt: skip
case(
    "Mod",
    data([1e30, 1e10, 7, -7, 5.5, 3, INF, 3], "f32"),
    data([3, 0.1, -3, 3, -2.5, INF, 2, NAN], "f32"),
    fmod=1,
)
for op in ("Max", "Min", "Equal", "Less", "Greater"):
    case(op, data([1, NAN, 3, INF, -INF, 0], "f32"), data([NAN, 2, -3, 5, -INF, -0.0], "f32"))
case("Div", data([1, -1, 0, INF, NAN], "f32"), data([0, 0, 0, INF, 1], "f32"))

# Powers: every pairing of types that ONNX allows for the base.
for t in FLOATS:
    for e in ("f32", "f16", "i32", "i64", "i8", "u8"):
        if t != "bf16":
            case("Pow", BY_NAME[t](4, 6, low=0.2, high=3), BY_NAME[e](6, low=0, high=4),
                 ref=lambda a, b: a.astype(float) ** b.astype(float))  # fmt: skip
for base in ("i32", "i64"):
    for e in ("i32", "i64", "f32", "u8"):
        exponents = data([0, 1, 2, 3, 4, 5], "f32") if e == "f32" else BY_NAME[e](6, low=0, high=5)
        case("Pow", BY_NAME[base](4, 6, low=-4, high=4), exponents,
             ref=lambda a, b: np.trunc(a.astype(float) ** b.astype(float)))  # fmt: skip
case("Pow", data([3, 7, -3, 10, 2, 1], "i64"), data([39, 20, 39, 18, 62, 1000], "i64"),
     ref=lambda a, b: np.array([int(x) ** int(y) for x, y in zip(a, b, strict=True)], object))  # fmt: skip
case("Pow", BY_NAME["f32"](400, low=0.01, high=100), BY_NAME["f32"](400, low=-15, high=15), tol=1e-5)
case("Pow", data([0, 0, 0, 1, NAN, 2, -2, -2, -8, INF, INF, -INF, 1, -1, 1.0001, -0.0, -0.0, 10, 2, 2], "f32"),
     data([0, 2, -1, NAN, 0, NAN, 3, 2, 0.333, 2, -2, 3, INF, INF, 400000, -1, -2, 38, 127.5, -149], "f32"),
     tol=1e-5)  # fmt: skip
for exponent in (0.5, 2.0, 3.0, -1.0):
    case("Pow", BY_NAME["f16"](16, 32, low=0.1, high=4), data(exponent, "f16"))
    case(
        "Pow",
        BY_NAME["f32"](16, 32, low=-4 if exponent > 1 else 0.1, high=4),
        data(exponent, "f32"),
        tol=1e-5,
    )

for t in ("f32", "f16"):
    case("PRelu", BY_NAME[t](2, 3, 4, 4), BY_NAME[t](3, 1, 1))
    case("PRelu", BY_NAME[t](5, 7), BY_NAME[t](7))
    case("PRelu", BY_NAME[t](5, 7), BY_NAME[t](1))
for op in ("Sum", "Mean", "Max", "Min"):
    for t in ("f32", "f16"):
        for n in (1, 2, 3, 6):
            case(op, *[BY_NAME[t](4, 5)] * n)
        case(op, BY_NAME[t](4, 1, 3), BY_NAME[t](5, 1), BY_NAME[t](3), BY_NAME[t]())
        case(op, BY_NAME[t](0, 3), BY_NAME[t](3))
for t in ("i32", "i64"):
    case("Max", *[BY_NAME[t](3, 5)] * 4)
case("Add", BY_NAME["f32"](4096, 4100), BY_NAME["f32"](4100), perf=True)
case("Mul", BY_NAME["f16"](2048, 8192), BY_NAME["f16"](2048, 8192), perf=True)
case("Add", BY_NAME["i8"](17_000_003, low=-60, high=60), BY_NAME["i8"](low=-60, high=60), ref=np.add)
