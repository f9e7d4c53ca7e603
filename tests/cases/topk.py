"""TopK: both directions, ties, every size class of lines and k, any axis and type."""

import numpy as np

from cases import BY_NAME, NEWEST, bf16, case, const, data

CASES = [
    ((5,), 3, 0),
    ((3, 7), 7, -1),
    ((3, 7), 2, 0),
    ((2, 9, 4), 5, 1),
    ((3, 1000), 10, 1),
    ((3, 1024), 1024, 1),
    ((2, 1025), 1, 1),
    ((2, 3000), 700, 1),  # sorts whole lines
    ((2, 5000), 512, 1),
    ((1, 151_936), 50, 1),
    ((1500, 3), 40, 0),
    ((0, 4), 2, 1),
    ((3, 4), 0, 1),
]
for largest in (0, 1):
    for shape, k, axis in CASES:
        case("TopK", BY_NAME["f32"](*shape), const([k]), axis=axis, largest=largest, out=2)
    case("TopK", BY_NAME["i64"](4, 300, low=-(2**60), high=2**60), const([20]), largest=largest, out=2)
    case("TopK", BY_NAME["i32"](4, 300, low=0, high=9), const([20]), largest=largest, out=2)  # many ties


def top(x, k, **_):
    at = np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[..., : int(k[0])]
    return np.take_along_axis(x, at, -1), at


for t in ("f16", "u8", "i8", "u32", "u64", "i16"):
    case("TopK", BY_NAME[t](3, 33), const([7]), out=2, ref=top)
case("TopK", bf16(3, 33), const([7]), out=2, ref=top)
case("TopK", BY_NAME["f32"](3, 9), data([4]), out=2, opset=[10, 11, NEWEST])
case("TopK", BY_NAME["f32"](3, 9), k=4, axis=1, out=2, opset=7)
case("TopK", BY_NAME["f32"](64, 32_000), const([8]), out=2, perf=True)
