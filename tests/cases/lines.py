"""What the layout of workgroups over lines must get right: long and short lines, in memory order and across it."""

import functools

import numpy as np

from cases import BY_NAME, NEWEST, bf16, case, const, data

SHAPES = [
    ((2, 1, 3, 1, 2, 1, 3, 4), [0, 2, 4, 6]),
    ((300, 130), [-1]),
    ((130, 300), [0]),
    ((4, 1), [1]),
    ((2, 100_000), [1]),  # two stages
    ((40_000, 3), [0]),
    ((9, 2, 7000), [0, 2]),
    ((2, 0, 3), [1]),
]


def values(name: str, t: str, *shape: int):
    """Values whose logarithm and product are finite."""
    if name == "Prod":
        return BY_NAME[t](*shape, low=0.999, high=1.001)
    return BY_NAME[t](*shape, low=0.1 if name == "LogSum" else -1.0, high=1.0)


for name in ("Sum", "Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"):
    op = "Reduce" + name
    for shape, axes in SHAPES:
        case(op, values(name, "f32", *shape), const(axes), keepdims=len(axes) % 2)
    # Without axes to reduce, what is done to each element still is.
    case(op, values(name, "f16", 2, 3), const(np.array([], np.int64)), noop_with_empty_axes=1)
    if name != "LogSumExp":
        case(op, BY_NAME["i32"](3, 5, low=1, high=5), const([1]))
case("ReduceSum", data([[2**40, 2**41, -5], [-(2**62), 2**61, 1024]], "i64"), const([1]))
case("ReduceSum", BY_NAME["i64"](3, 70_000, low=-(2**40), high=2**40), const([1]))


def position(x, axis, select_last_index, keepdims, largest):
    flipped = np.flip(x, axis) if select_last_index else x
    at = (np.argmax if largest else np.argmin)(flipped, axis=axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - at if select_last_index else at


for op in ("ArgMax", "ArgMin"):
    for t in ("f32", "f16", "u8", "i64"):
        for last in (0, 1):
            for shape, axis in (((9, 4), 0), ((2, 3, 4), -2), ((3, 1000), 1), ((900, 40), 0)):
                case(op, BY_NAME[t](*shape, low=0, high=5), axis=axis, select_last_index=last, keepdims=axis % 2,
                     ref=functools.partial(position, largest=op == "ArgMax"))  # fmt: skip

for t in ("f32", "f16"):
    for shape, axis in (
        ((7,), 0),
        ((4, 9), 0),
        ((2, 3, 4), 1),
        ((300, 64), -1),
        ((64, 300), 0),
        ((1, 40_000), -1),
    ):
        case("Hardmax", BY_NAME[t](*shape), axis=axis)
    case("Softmax", BY_NAME[t](64, 300), axis=0)
    case("Softmax", BY_NAME[t](3, 9, outliers=800.0), axis=-1)
for axis in (0, 1, 2):
    case("Hardmax", BY_NAME["f32"](2, 3, 4), axis=axis, opset=[7, 11, 13, NEWEST])
case("Hardmax", data([[1, 3, 3, 2], [0, 0, 0, 0]], "f32"))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


for axis in (0, 1):
    case("Softmax", bf16(5, 7), axis=axis, ref=softmax)
    case("LogSoftmax", bf16(5, 7), axis=axis, ref=lambda x, axis: np.log(softmax(x, axis)))
case("Softmax", BY_NAME["f32"](70_000, 3))
case("Softmax", BY_NAME["f16"](8, 2048, 512), perf=True)
