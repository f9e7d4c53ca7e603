"""Softmax and LogSoftmax."""

import numpy as np

from cases import NEWEST, case, f16, f32

for op in ("Softmax", "LogSoftmax"):
    for rows, cols in [(1, 1), (1, 129), (3, 16), (3, 17), (7, 4096), (300, 33), (2, 50_000)]:
        for x in (f32, f16):
            case(op, x(rows, cols), axis=-1, perf=cols == 4096)
    for axis in (0, 1, 2, -2):
        case(op, f32(2, 3, 5), axis=axis, opset=[1, 11, 13, NEWEST])
    case(op, f32(2, 3, 5), opset=[11, 13])
    case(op, f32(2, 40, 50), axis=1)
    case(op, f32(1, 20, 5000), axis=1)
    case(op, f32(70, 3), axis=0)
    case(op, f32(0, 4))
    case(op, f32(4, 0))
    case(op, f16(4, 100, outliers=6e4))
    case(op, f32(4, 100, low=-1e4, high=1e4))
    case(op, f32(2, 2, 2, 2, 2, 3), axis=3, symbolic=True)
case("Softmax", f32(value=[[0.0, -np.inf, 1.0], [-np.inf, 5.0, -np.inf]]), axis=-1)
case("Softmax", f16(value=[[0.0, -np.inf, 1.0], [-np.inf, 5.0, -np.inf]]), axis=-1)
