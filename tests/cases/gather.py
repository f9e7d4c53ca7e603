"""Gather, GatherElements, GatherND, GatherBlockQuantized, OneHot, ReverseSequence, TensorScatter."""

import functools

import numpy as np

from cases import BY_NAME, case, const, data, f16, f32, i32, i64, u8

same = functools.partial(case, tol=0, atol=0)
EVERY_TYPE = [t for t in BY_NAME if t not in ("i4", "u4")]
SIZES = ["f32", "f16", "u8", "i64"]  # one type of each size

for t in EVERY_TYPE:
    make = BY_NAME[t]
    same("Gather", make(6, 5), i64(2, 3, low=-6, high=5))
    same("Gather", make(4, 6, 3), i32(2, low=-6, high=5), axis=1)
    same("GatherElements", make(4, 6, 3), i64(4, 2, 3, low=-6, high=5), axis=1)
    same("GatherND", make(4, 6, 3), data([[0, -1], [3, 2], [-4, 0]]))
for t in SIZES:
    make = BY_NAME[t]
    same("Gather", make(6, 16), i64(5, low=-6, high=5))  # whole wide words
    same("Gather", make(7), i64(9, low=-7, high=6))
    same("Gather", make(3, 7), i64(low=-7, high=6), axis=1)
    same("GatherElements", make(6, 5), i32(3, 5, low=-6, high=5))
    same("GatherElements", make(2, 3, 4, 5), i32(1, 2, 4, 3, low=-4, high=3), axis=2)
    same("GatherND", make(4, 6, 8), data([[[1]], [[-2]]]))
    same("GatherND", make(2, 4, 6), i64(2, 3, 1, low=-4, high=3), batch_dims=1)
    same("GatherND", make(2, 3, 6), i64(2, 3, 1, low=-6, high=5), batch_dims=2)
same("Gather", f32(6, 5), i64(2, low=0, high=5), opset=[1, 11, 13], bind=True)
same("Gather", f32(6, 5), i64(0))
same("Gather", f32(6, 0), i64(3, low=0, high=5))
same("Gather", f32(3, 6, 2, 2, 2, 2, 2, 2), i64(2, low=0, high=5), axis=1)
same("Gather", f16(32000, 2048), i64(1, 512, low=0, high=31999), perf=True)
same("GatherElements", f32(3, 5), i64(0, 5), axis=0)
same("GatherND", f32(3, 5), i64(0, 2))
same("GatherND", f32(3, 5), data([[[0, 1]], [[-1, -1]]]), opset=[11, 12, 13])

# Out of range: zeros, where the CPU EP reports an error.
same("Gather", f32(3, 4), data([0, 3, -4, 2**32, -3]), id="Gather out of range",
     ref=lambda x, i: np.stack([x[0], 0 * x[0], 0 * x[0], 0 * x[0], x[0]]))  # fmt: skip
same(
    "Gather",
    u8(3, 3),
    data([5, 1], "i32"),
    id="Gather out of range u8",
    ref=lambda x, i: np.stack([0 * x[0], x[1]]),
)
same("GatherElements", f32(1, 3), data([[0, 1, -2]]), id="GatherElements out of range",
     ref=lambda x, i: np.array([[x[0, 0], 0, 0]]))  # fmt: skip
same(
    "GatherND",
    f32(2, 3),
    data([[2], [1]]),
    id="GatherND out of range",
    ref=lambda x, i: np.stack([0 * x[0], x[1]]),
)

# --- Rows of quantised tables
ROWS, COLS = 12, 96
for bits in (2, 4, 8):
    for block in (16, 32):
        blocks = COLS // block
        packed = functools.partial(u8, ROWS, COLS * bits // 8)
        zero = u8(ROWS, -(-blocks * bits // 8))
        for scale in (f32, f16):
            index = i64(2, 3, low=-ROWS, high=ROWS - 1)
            attrs = {
                "bits": bits,
                "block_size": block,
                "gather_axis": 0,
                "quantize_axis": 1,
                "domain": "com.microsoft",
            }
            case("GatherBlockQuantized", const(packed()), index, const(scale(ROWS, blocks)), **attrs)
            case(
                "GatherBlockQuantized",
                const(packed()),
                index,
                const(scale(ROWS, blocks)),
                const(zero),
                **attrs,
            )
for t in ("i4", "u4"):
    make = BY_NAME[t]
    for gather, quantize in [(0, 2), (0, 1), (1, 2), (2, 1), (1, 0)]:
        shape = [5, 33, 35]
        scales = list(shape)
        scales[quantize] = -(-shape[quantize] // 16)
        attrs = {
            "block_size": 16,
            "gather_axis": gather,
            "quantize_axis": quantize,
            "domain": "com.microsoft",
        }
        index = i32(3, low=-5, high=4)
        case("GatherBlockQuantized", const(make(*shape)), index, const(f32(*scales)), **attrs)
        case(
            "GatherBlockQuantized",
            const(make(*shape)),
            index,
            const(f32(*scales)),
            const(make(*scales)),
            **attrs,
        )
case("GatherBlockQuantized", const(u8(3, 16)), data([0, 3, -4, 2]), const(f32(3, 1)), bits=8, block_size=16,
     quantize_axis=1, id="GatherBlockQuantized out of range",
     ref=lambda q, i, s, **_: np.stack([(q[0] - 128.0) * s[0], 0 * s[0] * q[0], 0 * s[0] * q[0], (q[2] - 128.0) * s[2]])
     )  # fmt: skip

# --- New axes and time axes
for t in EVERY_TYPE:
    if t == "bf16":  # not a type of ONNX's OneHot
        continue
    values = np.array([0, 1]) if t == "bool" else np.array([2, 5])

    def one_hot(indices, depth, values, axis=-1):
        wrapped = np.where(indices < 0, indices + depth, indices)
        hot = np.moveaxis(wrapped[..., None] == np.arange(depth), -1, axis)
        return np.where(hot, values[1], values[0])

    same("OneHot", i64(3, 4, low=-6, high=6), const(5), data(values, t), axis=1, ref=one_hot)
for t in ("i32", "f32", "u8", "i8", "u64", "f16"):
    same("OneHot", BY_NAME[t](value=[0, 3, 9, 2]), const(4), data([0.0, 1.5], "f32"), ref=one_hot)
same(
    "OneHot",
    i64(3, low=-4, high=3),
    const(4, "i32"),
    data([0.0, 1.5], "f32"),
    axis=0,
    ref=one_hot,
    opset=[9, 11],
)
same("OneHot", i64(3, low=-4, high=3), const(4.0, "f32"), data([1, 7]), axis=0,
     ref=lambda i, d, v, axis: one_hot(i, int(d), v, axis))  # fmt: skip

for t in SIZES:
    make = BY_NAME[t]

    def reversed_sequence(x, lengths, batch_axis=1, time_axis=0):
        y = np.moveaxis(x, (batch_axis, time_axis), (0, 1)).copy()
        for b, n in enumerate(lengths):
            y[b, :n] = y[b, :n][::-1]
        return np.moveaxis(y, (0, 1), (batch_axis, time_axis))

    same("ReverseSequence", make(5, 3, 2), data([5, 1, 3]), ref=reversed_sequence)
    same("ReverseSequence", make(3, 5, 16), data([4, 0, 5]), batch_axis=0, time_axis=1, ref=reversed_sequence)
    same("ReverseSequence", make(3, 5), data([4, 2, 5]), batch_axis=0, time_axis=1, ref=reversed_sequence)


def tensor_scatter(past, update, starts=None, axis=-2, mode="linear"):
    y = np.moveaxis(past.copy(), axis, 1)
    u = np.moveaxis(update, axis, 1)
    for b in range(len(y)):
        start = 0 if starts is None else starts[b]
        for step in range(u.shape[1]):
            y[b, (start + step) % y.shape[1]] = u[b, step]
    return np.moveaxis(y, 1, axis)


for t in SIZES:
    make = BY_NAME[t]
    for width in (3, 8):
        cache, new = make(2, 3, 6, width), make(2, 3, 2, width)
        same("TensorScatter", cache, new, data([1, 4]), ref=tensor_scatter)
        same("TensorScatter", cache, new, data([5, 2]), mode="circular", ref=tensor_scatter)
        same("TensorScatter", cache, new, ref=tensor_scatter)
    same("TensorScatter", make(2, 6, 5), make(2, 1, 5), data([3, 0]), axis=1, ref=tensor_scatter)
