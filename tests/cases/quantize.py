"""QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear."""

import numpy as np

from cases import BY_NAME, DTYPES, case, const, data, f16, f32, i32

RANGES = {"u8": (0, 8), "i8": (-128, 8), "u16": (0, 16), "i16": (-32768, 16), "u4": (0, 4), "i4": (-8, 4)}


def spread(scale, shape, axis=1, block_size=0):
    """The scale of each element."""
    if np.size(scale) == 1 and not block_size:
        return np.asarray(scale).reshape(())
    if block_size:
        return np.take(np.repeat(scale, block_size, axis), np.arange(shape[axis]), axis)
    return scale.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])


def quantize(to):
    low, bits = RANGES[to]

    def ref(x, scale, zero=None, axis=1, block_size=0, **_):
        zero = 0 if zero is None else spread(zero.astype(np.float32), x.shape, axis, block_size)
        scale = spread(scale.astype(np.float32), x.shape, axis, block_size)
        return np.clip(np.round(x.astype(np.float32) / scale) + zero, low, low + 2**bits - 1)

    return ref


def dequantize(x, scale, zero=None, axis=1, block_size=0, **_):
    zero = 0 if zero is None else spread(zero.astype(np.int64), x.shape, axis, block_size)
    return (x.astype(np.int64) - zero) * spread(scale, x.shape, axis, block_size)


def positive(dtype, *shape):
    return BY_NAME[dtype](*shape, low=0.03, high=0.3)


for t in RANGES:
    make = BY_NAME[t]
    x = make(3, 6, 5)
    x = const(x) if t in ("u4", "i4") else x
    for s in ("f32", "f16"):
        case("DequantizeLinear", x, positive(s), const(make()), ref=dequantize)
        case("DequantizeLinear", x, positive(s, 6), const(make(6)), axis=1, ref=dequantize)
        case("DequantizeLinear", x, positive(s, 5), axis=-1, ref=dequantize)
        case(
            "DequantizeLinear",
            x,
            positive(s, 3, 2, 5),
            const(make(3, 2, 5)),
            axis=1,
            block_size=3,
            ref=dequantize,
        )
        case("DequantizeLinear", x, positive(s, 3, 2, 5), axis=1, block_size=4, ref=dequantize)
        case(
            "DequantizeLinear",
            x,
            positive(s, 3, 6, 3),
            const(make(3, 6, 3)),
            axis=-1,
            block_size=2,
            ref=dequantize,
        )
    case("QuantizeLinear", f32(3, 6, 5, low=-30, high=30), positive("f32"), const(make()), ref=quantize(t))
    case(
        "QuantizeLinear", f32(3, 7, 5, low=-30, high=30), positive("f32", 7), const(make(7)), ref=quantize(t)
    )
    case(
        "QuantizeLinear",
        f32(3, 6, 5, low=-30, high=30),
        positive("f32", 5),
        const(make(5)),
        axis=2,
        ref=quantize(t),
    )
    case("QuantizeLinear", f32(3, 6, 5, low=-30, high=30), positive("f32", 3, 2, 5), const(make(3, 2, 5)), axis=1,
         block_size=4, ref=quantize(t))  # fmt: skip
    case("QuantizeLinear", f16(2, 6, low=-30, high=30), positive("f16"), const(make()), ref=quantize(t))
    case("QuantizeLinear", f32(4, 4, low=-3e4, high=3e4), positive("f32"), ref=quantize(t),
         output_dtype=DTYPES[t][0])  # fmt: skip
case("DequantizeLinear", i32(4, 5, low=-(2**24), high=2**24), positive("f32"))
case(
    "DequantizeLinear", BY_NAME["u8"](3, 5), positive("f32"), BY_NAME["u8"](), opset=[10, 13, 19, 21, 23, 24]
)
case(
    "DequantizeLinear",
    BY_NAME["u8"](3, 5),
    positive("f32", 5),
    BY_NAME["u8"](5),
    axis=1,
    domain="com.microsoft",
)
case("DequantizeLinear", BY_NAME["i8"](0, 5), positive("f32"))
case("DequantizeLinear", BY_NAME["i8"](), positive("f32"))
case("DequantizeLinear", BY_NAME["i8"](4096, 1024), positive("f32", 4096), axis=0, perf=True)
case("QuantizeLinear", f32(3, 5), positive("f32"), BY_NAME["u8"](), opset=[10, 13, 19, 21, 23, 24])
case("QuantizeLinear", f32(3, 5), positive("f32", 5), BY_NAME["i8"](5), axis=1, domain="com.microsoft")
case("QuantizeLinear", f32(3, 5), positive("f32"))
case("QuantizeLinear", f32(0, 5), positive("f32"))
case("QuantizeLinear", i32(3, 5), positive("f32"), ref=quantize("u8"))
# Halfway between two integers: to the even one, also where the scale is not a power of two.
case(
    "QuantizeLinear", data([-7.5, -4.5, -1.5, 0, 1.5, 4.5, 7.5, 10.5], "f32"), data(3.0, "f32"), data(0, "i8")
)
case("QuantizeLinear", data(np.arange(-30, 31) * np.float32(0.05), "f32"), data(0.1, "f32"), data(7, "u8"))
case("QuantizeLinear", data([np.inf, -np.inf, 1e38, -1e38], "f32"), data(0.1, "f32"), data(7, "u8"))

for values in (
    [0.0, 2.0, -3.0, -2.5, 1.34, 0.5],
    [-1.0, -2.1, -1.3, -2.5, -3.34, -4.0],
    [1.0, 2.1, 1.3, 2.5, 3.34, 4.0],
):
    case("DynamicQuantizeLinear", data(values, "f32"), out=3)
case("DynamicQuantizeLinear", f32(33, 57), out=3)
case("DynamicQuantizeLinear", f32(3, 5, low=3, high=9), out=3)
case("DynamicQuantizeLinear", data([0.0, 0.0], "f32"), out=3)
case("DynamicQuantizeLinear", f32(2048, 2048), out=3, perf=True)
