"""Parts of tensors and tensors in a frame: Slice, Split, Pad. All bit-exact."""

import functools

import numpy as np

from cases import BY_NAME, case, const, data, f16, f32, i64, u8

same = functools.partial(case, tol=0, atol=0)
EVERY_TYPE = [t for t in BY_NAME if t not in ("i4", "u4")]
SIZES = ["f32", "f16", "u8", "i64"]  # one type of each size
LAST = 2**63 - 1


def slice_ref(x, starts, ends, axes, steps):
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


for t in EVERY_TYPE:
    ref = slice_ref if t == "bf16" else None
    same("Slice", BY_NAME[t](5, 6, 7), const([1, 2]), const([4, 7]), const([0, 2]), const([1, 2]), ref=ref)
for t in SIZES:
    for starts, ends, axes, steps in [
        ([8], [LAST], [2], [1]),  # a multiple of every word
        ([4], [12], [-1], [1]),
        ([-1, -1], [-100, 0], [0, 2], [-1, -3]),
        ([5], [2], [1], [1]),  # nothing
        ([-2], [LAST], [1], [1]),
        ([-(2**63)], [LAST], [1], [2]),
        ([LAST], [-(2**63)], [0], [-1]),
        ([3], [-7], [1], [-1]),
        ([0], [LAST], [1], [LAST]),
        ([2], [0], [0], [-(2**63) + 1]),
    ]:
        same("Slice", BY_NAME[t](3, 6, 16), const(starts), const(ends), const(axes), const(steps))
same("Slice", f32(4, 5), const([1, 0], "i32"), const([3, 4], "i32"))
same("Slice", f32(4, 5), const([1, 0]), const([3, 4]), opset=[10, 11, 13], bind=True)
same("Slice", f32(4, 5), data([1]), data([-1]), data([1]), data([2]), symbolic=True)
same("Slice", f32(4, 5), starts=[1, 0], ends=[3, -1], opset=1)
same("Slice", f32(4, 5), starts=[-2], ends=[100], axes=[1], opset=1)
same("Slice", f32(0, 5), const([0]), const([2]), const([0]), const([-1]))
same("Slice", f32(3, 0, 5), const([0]), const([2]), const([2]))
same("Slice", f16(1, 300, 4096), const([-1]), const([LAST]), const([1]), perf=True)

for t in EVERY_TYPE:
    ref = None
    if t in ("f16", "bf16", "i8", "i16", "u16", "u32", "u64"):

        def ref(x, split, axis):
            return tuple(np.split(x, np.cumsum(split)[:-1], axis))

    same("Split", BY_NAME[t](3, 7, 2), const([2, 4, 1]), axis=1, out=3, ref=ref)
same("Split", f32(4, 7), axis=1, num_outputs=3, out=3)
same("Split", f32(4, 7), axis=-1, num_outputs=3, out=(1, 0, 1),
     ref=lambda x, axis, num_outputs: (x[:, :3], x[:, 6:]))  # fmt: skip
same("Split", f32(6, 4), out=3, opset=[2, 11, 13], ref=lambda x: tuple(np.split(x, 3)))
same("Split", f32(6, 4), split=[1, 5], axis=0, out=2, opset=[2, 11])
same("Split", u8(6, 5), const([0, 2, 3]), axis=1, out=3)
same("Split", i64(3), const([1, 1, 1]), out=3)
for t in SIZES:
    same("Split", BY_NAME[t](2, 40, 4), axis=1, num_outputs=10, out=10,
         ref=lambda x, axis, num_outputs: tuple(np.split(x, num_outputs, axis)))  # fmt: skip
    same("Split", BY_NAME[t](4, 64), const([16, 32, 16]), axis=1, out=(0, 1, 1),
         ref=lambda x, split, axis: (x[:, 16:48], x[:, 48:]))  # fmt: skip
same("Split", f32(0, 6), axis=1, num_outputs=2, out=2)
same("Split", f16(1, 300, 3072), const([2048, 512, 512]), axis=2, out=3, perf=True,
     ref=lambda x, split, axis: tuple(np.split(x, np.cumsum(split)[:-1], axis)))  # fmt: skip

PADDED_ON_CPU = ("f32", "f64", "i32", "u32", "i64", "u64", "i8", "u8", "bool")


def pad_ref(x, pads, value=None, axes=None, mode="constant"):
    axes = range(x.ndim) if axes is None else axes
    widths = [(0, 0)] * x.ndim
    for k, axis in enumerate(axes):
        widths[axis] = (pads[k], pads[len(pads) // 2 + k])
    return np.pad(
        x, widths, mode, **({"constant_values": value} if mode == "constant" and value is not None else {})
    )


for t in EVERY_TYPE:
    ref = None if t in PADDED_ON_CPU else pad_ref
    make = BY_NAME[t]
    same("Pad", make(3, 4, 5), const([1, 0, 2, 0, 3, 1]), const(make(value=1)), ref=ref)
    for mode in ("constant", "reflect", "edge", "wrap"):
        same("Pad", make(3, 4, 5), const([1, 0, 2, 0, 3, 1]), mode=mode, ref=ref)
for t in SIZES:
    make = BY_NAME[t]
    ref = None if t in PADDED_ON_CPU else pad_ref
    same("Pad", make(3, 4, 16), const([1, 2, 2, 0]), const(make(value=7)), const([1, 0]), ref=ref)
    same("Pad", make(2, 16, 8), const([8, 16]), const(make(value=7)), const([-1]), ref=ref)
    if ref is None:
        for mode in ("constant", "edge", "reflect"):
            same("Pad", make(5, 6, 8), const([-1, 2, 0, 1, -3, -2]), mode=mode)
same("Pad", f32(3, 4), const([0, 0, 0, 0]))
same("Pad", f32(3, 0), const([1, 2, 0, 1]), const(f32(value=2.5)))
same("Pad", f32(3, 4), const([-3, 1, 0, 0]), const(f32(value=2.5)))
same("Pad", f32(1, 1, 3), const([0, 2, 0, 0, 1, 0]), mode="edge")
same("Pad", f32(3, 4), pads=[1, 0, 0, 2], value=1.5, opset=2)
same("Pad", f32(3, 4), pads=[1, 0, 0, 2], mode="reflect", opset=2)
same("Pad", f32(3, 4), const([1, 0, 0, 2]), const(f32(value=1.5)), opset=[11, 13, 18, 19, 21, 23, 24])
same("Pad", f32(3, 4), data([1, 0, 0, 2]), data(1.5, "f32"), symbolic=True)
same("Pad", f32(2, 1, 2, 1, 2, 1, 2, 3), const([0, 1, 0, 1, 0, 1, 0, 1] * 2), mode="edge")
same("Pad", f16(1, 64, 112, 112), const([0, 0, 1, 1, 0, 0, 1, 1]), ref=pad_ref, perf=True)
