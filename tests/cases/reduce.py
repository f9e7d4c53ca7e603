"""Reductions: every operator, axis set, type and way to say the axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import BY_NAME, NEWEST, Arg, bf16, bool_, case, const, data, f16, f32, i8, i32, i64, u8

FLOATS = ["ReduceL2", "ReduceLogSum", "ReduceLogSumExp"]
NUMBERS = ["ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"]
NUMPY = {"ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min, "ReduceProd": np.prod}


def values(op: str, x: Any, *shape: int) -> Arg:
    """Positive values where the logarithm of the sum is taken, values near 1 where products are."""
    if op == "ReduceLogSum":
        arg: Arg = x(*shape, low=0.1, high=2.0)
    elif op == "ReduceProd" and x in (f32, f16, bf16):
        arg = x(*shape, low=0.9, high=1.1)
    else:
        arg = x(*shape)
    return arg


def integer_ref(op: str, axes: tuple[int, ...]) -> Any:
    """Wrapping integer arithmetic, for types that the CPU EP lacks."""
    return lambda x, *_, **__: NUMPY[op](x, axis=axes, keepdims=True, dtype=x.dtype) if op in (
        "ReduceSum", "ReduceProd") else NUMPY[op](x, axis=axes, keepdims=True)  # fmt: skip


for op in NUMBERS + FLOATS:
    for axes in ([0], [1], [2], [-1], [0, 1], [1, 2], [0, 2], [0, 1, 2]):
        case(op, values(op, f32, 3, 5, 7), const(axes))
    case(op, values(op, f32, 3, 5, 7), const([1]), keepdims=0)
    case(op, values(op, f32, 3, 5, 7))
    case(op, values(op, f32, 3, 5, 7), axes=[0, -1], opset=11)
    case(op, values(op, f32, 3, 5, 7), keepdims=0, opset=11)
    case(op, values(op, f32, 1, 1), const([0]), keepdims=0)
    case(op, values(op, f32, 2, 3, 2, 3, 2, 3), const([0, 2, 4]))
    case(op, values(op, f16, 4, 33), const([1]))
    case(op, values(op, f16, 3, 5, 7), const([0, 2]), symbolic=True)
    case(op, values(op, f32, 2, 1500), const([1]))
    case(op, values(op, f32, 700, 3), const([0]))
    case(op, values(op, f32, 40, 5000), const([0]))

for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceSumSquare"):
    small = dict(low=-3, high=3) if op == "ReduceProd" else {}
    case(op, i32(3, 5, 7, **small), const([1]))
    if op not in ("ReduceMean", "ReduceL1"):
        case(op, i64(3, 5, 7, **small), const([0, 2]))
        case(op, i64(2, 40, **small), const([1]))
for op in ("ReduceSum", "ReduceMax", "ReduceMin"):
    case(op, i64(4, 100, low=-(2**62), high=2**62), const([1]), ref=integer_ref(op, (1,)))
    case(op, BY_NAME["u32"](4, 100, high=2**32 - 1), const([1]), ref=integer_ref(op, (1,)))
    case(op, BY_NAME["u64"](4, 100, high=2**63), const([0]), ref=integer_ref(op, (0,)))
for op in ("ReduceMax", "ReduceMin"):
    case(op, i8(5, 7), const([1]), opset=[18, NEWEST])
    case(op, u8(5, 70), const([1]), opset=[18, NEWEST])
    case(op, bool_(5, 7), const([0]))

# NaN is the result wherever there is one.
case("ReduceMax", f32(value=[[1.0, np.nan, 3.0], [np.inf, 1.0, -np.inf]]), const([1]),
     ref=lambda x, *_: x.max(1, keepdims=True))  # fmt: skip
case("ReduceMin", f32(value=[[1.0, np.nan, 3.0], [np.inf, 1.0, -np.inf]]), const([1]),
     ref=lambda x, *_: x.min(1, keepdims=True))  # fmt: skip
case("ReduceSum", bf16(4, 65), const([1]))
case("ReduceMean", bf16(65, 4), const([0]))
case("ReduceSum", f32(4, 5), data([1]))  # axes known at run time only
case("ReduceSum", f32(4, 5), const(i64(0)), noop_with_empty_axes=1)
case("ReduceSum", f32(4, 5), const(i64(0)), noop_with_empty_axes=0)
case("ReduceSum", f32(4, 0, 5), const([1]))  # nothing to reduce: zeros
case("ReduceSum", f32(0, 5), const([1]))
case("ReduceProd", f32(4, 0), const([1]))
case("ReduceSum", f32())
case("ReduceMean", f16(1, 3000, low=90.0, high=110.0), const([1]))  # an f16 sum would overflow
case("ReduceLogSumExp", f32(3, 200, low=-1000.0, high=1000.0), const([1]))
case("ReduceLogSumExp", f32(value=[[-np.inf, -np.inf], [np.inf, 1.0]]), const([1]),
     ref=lambda x, *_: np.logaddexp.reduce(x, axis=1, keepdims=True))  # fmt: skip
case("ReduceSum", f32(1, 300_000), const([1]))
case("ReduceSum", f32(3, 64, 1000), const([0, 2]), perf=True)
case("ReduceMean", f32(8, 4096), const([1]), perf=True)
