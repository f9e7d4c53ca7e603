"""Elementwise operators of one operand: every type and kind of value, sizes that fill no whole word or vector."""

import math

import numpy as np

from cases import BY_NAME, NEWEST, case, data

INF, NAN = np.inf, np.nan
EDGES = [
    0.0,
    -0.0,
    INF,
    -INF,
    NAN,
    1e-6,
    -1e-6,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    88.0,
    -88.0,
    100.0,
    -104.0,
    1e30,
    -1e30,
]
BOTH = (-8.0, 8.0)


def expit(x):
    return 1 / (1 + np.exp(-x))


def float64(function):
    """An oracle in float64, quiet about poles and overflow."""

    def oracle(x, **_):
        with np.errstate(all="ignore"):
            return function(x)

    return oracle


# Operator: the oracle, the range of random values, exact values beside EDGES that stay in the operator's range.
PLAIN = {
    "Abs": (np.abs, BOTH),
    "Neg": (np.negative, BOTH),
    "Floor": (np.floor, BOTH),
    "Ceil": (np.ceil, BOTH),
    "Round": (np.round, BOTH),
    "Reciprocal": (lambda x: 1 / x, BOTH),
    "Sqrt": (np.sqrt, (0, 100)),
    "Exp": (np.exp, (-10, 10)),
    "Log": (np.log, (0, 10)),
    "Sigmoid": (expit, BOTH),
    "Tanh": (np.tanh, BOTH),
    "Erf": (np.vectorize(math.erf, otypes=[float]), (-4, 4)),
    "Sin": (np.sin, (-50, 50)),
    "Cos": (np.cos, (-50, 50)),
    "Tan": (np.tan, (-1.5, 1.5)),
    "Asin": (np.arcsin, (-1, 1)),
    "Acos": (np.arccos, (-1, 1)),
    "Atan": (np.arctan, BOTH),
    "Sinh": (np.sinh, BOTH),
    "Cosh": (np.cosh, BOTH),
    "Asinh": (np.arcsinh, (-100, 100)),
    "Acosh": (np.arccosh, (1, 100)),
    "Atanh": (np.arctanh, (-1, 1)),
    "Softplus": (lambda x: np.logaddexp(0, x), BOTH),
    "Softsign": (lambda x: x / (1 + np.abs(x)), BOTH),
    "Relu": (lambda x: np.maximum(x, 0), BOTH),
    "Mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), BOTH),
    "HardSwish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), BOTH),
}
NO_INFINITY = {"Softsign", "Mish", "HardSwish"}  # infinity times zero or over infinity in the formula itself

for op, (function, (low, high)) in PLAIN.items():
    ref = float64(function)
    for t, tol in (("f32", 1e-5), ("f16", 1e-3), ("bf16", 8e-3)):
        for shape in ((), (1,), (7,), (2, 3, 4), (0, 5), (1, 2, 1, 3, 1, 2, 1, 5)):
            case(op, BY_NAME[t](*shape, low=low, high=high), tol=tol, ref=ref)
        case(op, BY_NAME[t](1000, low=low, high=high), tol=tol, ref=ref)
    edges = [e for e in EDGES if op not in NO_INFINITY or np.isfinite(e)]
    case(op, data(edges, "f32"), tol=1e-5, ref=ref, id=f"{op} of special values")
for op, scale in (
    ("Sin", 1e5),
    ("Cos", 1e5),
    ("Tan", 1e5),
    ("Sin", 1e30),
    ("Cos", 1e30),
    ("Exp", 88),
    ("Tanh", 1e-3),
):
    case(op, BY_NAME["f32"](501, low=-scale, high=scale), tol=1e-5, ref=float64(PLAIN[op][0]))
case("Log", BY_NAME["f32"](501, low=0.99, high=1.01), tol=1e-5, atol=1e-9, ref=float64(np.log))
case("Exp", BY_NAME["f32"](70_000, 250), perf=True)  # more than 65,535 workgroups of single elements
case("Sigmoid", BY_NAME["f32"](17_000_001))

for t in ("i32", "i64", "i8", "i16"):
    for op in ("Abs", "Neg", "Sign"):
        ref = {"Abs": np.abs, "Neg": np.negative, "Sign": np.sign}[op]
        for shape in ((), (3,), (5, 7), (64,), (0,)):
            case(op, BY_NAME[t](*shape), ref=ref)
for t in ("u32", "u64", "u8", "u16"):
    case("Abs", BY_NAME[t](13), ref=np.abs)
    case("Sign", BY_NAME[t](13), ref=np.sign)
for t in ("i32", "i64", "i8", "i16"):
    case("Relu", BY_NAME[t](13), ref=lambda x: np.maximum(x, 0))
for t in ("i32", "u32", "i64", "u64", "i8", "u8", "i16", "u16"):
    case("BitwiseNot", BY_NAME[t](3, 5), ref=np.invert)
case("Abs", data([-(2**63) + 1, 2**62, -5_000_000_000], "i64"))
case("Neg", data([2**63 - 1, -(2**40), 4294967296], "i64"))
case("Sign", data([-(2**40), 4294967296, 0], "i64"))
case("Sign", data([-1.5, 0.0, 2.0], "f32"))
for shape in ((), (5,), (4, 8), (0, 2)):
    case("Not", BY_NAME["bool"](*shape))

for t in ("f32", "f16"):
    x = BY_NAME[t](3, 5, low=-6, high=6)
    y = BY_NAME[t](4, 8, low=-6, high=6)
    for arg in (x, y):
        case("LeakyRelu", arg, alpha=0.2)
        case("Elu", arg, alpha=0.7)
        case("Selu", arg)
        case("Selu", arg, alpha=1.2, gamma=0.8)
        if t == "f32":
            case("Celu", arg, alpha=0.6, ref=lambda x, alpha: np.where(x < 0, alpha * np.expm1(x / alpha), x))
        case("HardSigmoid", arg, alpha=0.25, beta=0.4)
        case("ThresholdedRelu", arg, alpha=2.0)
        case("Shrink", arg, bias=0.4, lambd=1.5)
        case("Swish", arg, alpha=0.8, ref=lambda x, alpha: x * expit(alpha * x))
        case("Gelu", arg)
        case("Gelu", arg, approximate="tanh")
        case("Gelu", arg, domain="com.microsoft")
        case("QuickGelu", arg, alpha=1.5)
        case("IsNaN", arg)
        case("IsInf", arg)
    for detect in ((1, 1), (0, 1), (1, 0), (0, 0)):
        special_values = data([INF, -INF, NAN, 0, 1, -2, 3, INF], t)
        case("IsInf", special_values, detect_positive=detect[0], detect_negative=detect[1])
    case("IsNaN", data([INF, NAN, 0, -NAN], t))
for op in ("Elu", "Selu", "LeakyRelu", "HardSigmoid", "Softplus", "Relu"):
    for opset in (6 if op != "Softplus" else 7, 14, NEWEST):
        case(op, BY_NAME["f32"](9), opset=opset)
