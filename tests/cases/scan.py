"""CumSum, Range, ArgMax and ArgMin."""

import numpy as np

from cases import BY_NAME, case, const, data, f16, f32, i32, i64, u8

for axis in (0, 1, -1):
    case("CumSum", f32(3, 5, 7), const(i32(value=axis)))
    case("CumSum", f32(3, 5, 7), const(i64(value=axis)), exclusive=1)
    case("CumSum", i64(3, 5, 7), const(i32(value=axis)), reverse=1)
    case("CumSum", i32(3, 5, 7), const(i32(value=axis)), reverse=1, exclusive=1)
for size in (1, 64, 65, 256, 257, 1000):
    case("CumSum", i32(2, size), const(i32(value=1)))
    case("CumSum", f32(size), const(i32(value=[0])), exclusive=1)
    case("CumSum", f16(2, size, low=0.0, high=1.0), const(i32(value=1)), reverse=1,
         ref=lambda x, *_, **__: np.flip(np.cumsum(np.flip(x, 1), 1), 1))  # fmt: skip
case("CumSum", i64(2, 300, low=-(2**60), high=2**60), data(1))
case("CumSum", f32(0, 3), const(i32(value=0)))

for start, limit, delta in [(0, 5, 1), (5, -3, -2), (3, 3, 1), (4, 0, 1), (-7, 100, 13)]:
    for t in ("i32", "i64", "f32"):
        case("Range", *(data(v, t) for v in (start, limit, delta)))
case("Range", data(2**40), data(2**40 + 10**6), data(17))
case("Range", data(0.5, "f32"), data(3.0, "f32"), data(0.1, "f32"))
case("Range", data(0.5, "f64"), data(3.0, "f64"), data(0.1, "f64"), declined="f64")

for op in ("ArgMax", "ArgMin"):
    for axis in (0, 1, 2, -1):
        case(op, f32(3, 5, 7), axis=axis)
        case(op, i32(3, 5, 7, low=0, high=3), axis=axis, keepdims=0)
    case(op, f16(2, 1000), axis=1)
    case(op, f32(5, 300))
    case(op, f32(1, 151_936), axis=-1)
    case(op, u8(5, 300), axis=1)
    case(op, i64(5, 30, low=-(2**60), high=2**60), axis=1)
    case(op, f32(value=[[1.0, 2.0, 2.0, 1.0, 2.0, 1.0]]), axis=1, opset=[11, 13])
    case(op, f32(value=[[1.0, 2.0, 2.0, 1.0, 2.0, 1.0]]), axis=1, select_last_index=1)
    case(op, BY_NAME["i8"](4, 33, low=-2, high=2), axis=1, select_last_index=1)
    case(op, f32(0, 3), axis=1)
