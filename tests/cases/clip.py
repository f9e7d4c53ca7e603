"""Clip with attributes (opset 6) and with bounds as inputs."""

import numpy as np

from cases import BY_NAME, NEWEST, case, const, data

for t in ("f32", "f16", "i32", "u32", "i64", "u64", "i8", "u8", "i16", "u16"):
    low, high = (3, 50) if t[0] in "iu" else (-0.5, 0.7)
    x = BY_NAME[t]
    for shape in ((), (7,), (4, 8), (0, 3)):
        for bounds in ((low, high), (low, None), (None, high), (None, None)):
            args = [None if b is None else const(x(value=b)) for b in bounds]
            case(
                "Clip",
                x(*shape),
                *args,
                ref=lambda v, a, b: v if a is None and b is None else np.clip(v, a, b),
            )
    case("Clip", x(9), data(low, t), data(high, t), ref=np.clip)
case("Clip", data([2**40, -(2**40), 5, 2**33], "i64"), data(-(2**35), "i64"), data(2**34, "i64"))
case("Clip", data([np.nan, np.inf, -np.inf, 0, 2], "f32"), data(-1, "f32"), data(1, "f32"), ref=np.clip)
for opset in (6, 7, 10):
    case("Clip", BY_NAME["f32"](3, 5), min=-0.3, max=0.8, opset=opset)
    case("Clip", BY_NAME["f32"](4, 8), max=0.1, opset=opset)
for opset in (11, 12, 13, NEWEST):
    case("Clip", BY_NAME["f32"](3, 5), data(-0.2, "f32"), data(0.4, "f32"), opset=opset)
