"""Operators that rename, reorder or repeat: shapes, transpositions, expansion, concatenation. All bit-exact."""

import functools

import numpy as np
from onnx import helper, numpy_helper

from cases import BY_NAME, DTYPES, bool_, case, const, data, f16, f32, i64, u8

same = functools.partial(case, tol=0, atol=0)
EVERY_TYPE = [t for t in BY_NAME if t not in ("i4", "u4")]
SIZES = ["f32", "f16", "u8", "i64"]  # one type of each size

# --- Names only
for t in EVERY_TYPE:
    same("Identity", BY_NAME[t](3, 5), bind=True)
    same("Reshape", BY_NAME[t](3, 5), const([5, 3]))
for shape, to, attrs in [
    ((2, 3, 4), [0, -1], {}),
    ((2, 3, 4), [-1], {}),
    ((1, 1), [], {}),
    ((), [1, 1], {}),
    ((0, 3), [3, 0], {"allowzero": 1}),
    ((0, 3), [0, 3], {}),
    ((2, 1, 3, 1, 2, 1, 2, 1), [8, -1], {}),
]:
    same("Reshape", f32(*shape), const(np.array(to, np.int64).tolist() if to else np.zeros(0)), **attrs)
same("Reshape", f32(2, 3, 4), data([4, -1]), opset=[5, 13, 14, 19, 21, 23, 24])
same("Reshape", f32(2, 3, 4), data([4, -1]), bind=True, symbolic=True)
same("Squeeze", f32(1, 3, 1, 5))
same("Squeeze", f32(1, 3, 1, 5), const([-2]), opset=[13, 21, 23, 24])
same("Squeeze", f32(1, 3, 1, 5), axes=[0, 2], opset=[1, 11])
same("Squeeze", i64(1, 1))
same("Unsqueeze", f32(3, 5), const([0, -1]), opset=[13, 21, 23, 24])
same("Unsqueeze", f32(3, 5), axes=[0, 3], opset=[1, 11])
same("Unsqueeze", bool_(), const([0]))
for axis in (-3, -1, 0, 1, 3):
    same("Flatten", f32(2, 3, 4), axis=axis)
same("Flatten", u8(2, 3, 4), opset=[9, 11, 13, 21, 23, 24])
same("Flatten", f32(2, 0, 4))


# --- Filled by shape
def filled(shape, dtype, value, **rest):
    tensor = numpy_helper.from_array(np.array([value]).astype(DTYPES[dtype][1]))
    same("ConstantOfShape", data(shape), value=tensor, id=f"ConstantOfShape {shape} {dtype}={value}",
         ref=lambda shape, value: np.full(shape.astype(int), numpy_helper.to_array(value)[0]), **rest)  # fmt: skip


for t in EVERY_TYPE:
    filled([3, 5], t, 1 if t == "bool" else 3)
filled([300, 1000], "i64", -7)
filled([3, 7], "u64", 2**63 + 5)
filled([], "f32", 2.5)
filled([0, 3], "f32", 2.5)
same("ConstantOfShape", data([2, 3, 4]), opset=[9, 20, 21, 23, 24])

# --- Transposition
for t in EVERY_TYPE:
    same("Transpose", BY_NAME[t](33, 40), perm=[1, 0])  # through workgroup memory where words allow it
    same("Transpose", BY_NAME[t](2, 5, 7), perm=[2, 0, 1])
    same("Transpose", BY_NAME[t](3, 8, 4, 16), perm=[0, 2, 1, 3])  # the innermost axis stays
for t in SIZES:
    same("Transpose", BY_NAME[t](140, 77), perm=[1, 0])  # rows of x that are no whole words
    same("Transpose", BY_NAME[t](2, 200, 300), perm=[0, 2, 1])  # several tiles each way
    same("Transpose", BY_NAME[t](3, 34, 2, 36), perm=[3, 2, 0, 1])
    same("Transpose", BY_NAME[t](2, 3, 40, 68), perm=[1, 0, 3, 2])
    same("Transpose", BY_NAME[t](8, 64, 2), perm=[1, 2, 0])
    same("Transpose", BY_NAME[t](2, 3, 2, 2, 3, 1, 2, 2), perm=[7, 6, 5, 4, 3, 2, 1, 0])
same("Transpose", f32(4, 5, 6))
same("Transpose", f32(4, 5, 6), perm=[2, 1, 0], opset=[1, 13, 21, 23, 24])
same("Transpose", f32(1, 5, 1), perm=[2, 1, 0])
same("Transpose", f32(0, 5, 3), perm=[1, 0, 2])
same("Transpose", f32())
same("Transpose", f32(17), symbolic=True)
same("Transpose", f16(1, 1024, 16, 64), perm=[0, 2, 1, 3], perf=True)
same("Transpose", f32(2048, 2048), perm=[1, 0], perf=True)
same("Transpose", f16(2048, 2048), perm=[1, 0], perf=True)
for mode in ("DCR", "CRD"):
    for t in SIZES:
        ref = None
        if t in ("f16", "i64"):

            def ref(x, blocksize, mode):
                n, c, h, w = x.shape
                b = blocksize
                if mode == "DCR":
                    y = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
                else:
                    y = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
                return y.reshape(n, c // (b * b), h * b, w * b)

        same("DepthToSpace", BY_NAME[t](2, 12, 3, 5), blocksize=2, mode=mode, ref=ref)
same("DepthToSpace", f32(1, 18, 3, 2), blocksize=3, opset=[1, 11, 13])
same("SpaceToDepth", f32(2, 3, 6, 8), blocksize=2, opset=[1, 13])
same("SpaceToDepth", u8(2, 3, 6, 9), blocksize=3)

# --- Repetition
for t in EVERY_TYPE:
    expand_ref = (lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape)))) if t in (
        "i16", "u16", "bf16") else None  # fmt: skip
    same("Expand", BY_NAME[t](3, 1, 5), const([2, 1, 4, 1]), ref=expand_ref)
    tile_ref = (lambda x, repeats: np.tile(x, repeats)) if t in ("i16", "u16", "f16", "bf16") else None
    same("Tile", BY_NAME[t](3, 1, 5), const([2, 3, 2]), ref=tile_ref)
for shape, to in [
    ((1,), [7]),
    ((), [2, 3]),
    ((8, 1), [8, 16]),
    ((2, 1, 8), [2, 3, 8]),
    ((3, 0), [3, 0]),
    ((1, 3), [0, 3]),
    ((2, 1, 2, 1, 2, 1, 2, 1), [2, 3, 2, 3, 2, 3, 2, 3]),
    ((4, 5), [1, 1]),
]:
    same("Expand", f32(*shape), const(to))
same("Expand", f32(1), const([16_777_300]))  # more workgroups than one axis of a grid holds
same("Expand", f32(3, 1), data([2, 1, 6]), opset=[8, 13], bind=True)
for shape, repeats in [
    ((4,), [3]),
    ((2, 4), [1, 1]),
    ((2, 4), [0, 2]),
    ((2, 8), [3, 1]),
    ((2, 1, 3), [2, 5, 1]),
    ((1, 2, 1, 2, 1, 2, 1, 2), [2, 2, 2, 2, 2, 2, 2, 2]),
    ((1, 1), [3, 4]),
]:
    same("Tile", f32(*shape), const(repeats))
same("Tile", f32(2, 3), data([2, 2]), opset=[6, 13])

# --- Concatenation
for t in EVERY_TYPE:
    same("Concat", BY_NAME[t](2, 3, 2), BY_NAME[t](2, 4, 2), BY_NAME[t](2, 1, 2), axis=1)
    same("Concat", BY_NAME[t](3, 1), BY_NAME[t](3, 1), BY_NAME[t](3, 2), axis=-1)
for t in SIZES:
    same("Concat", BY_NAME[t](2, 3, 16), BY_NAME[t](2, 5, 16), axis=1)
    same("Concat", *(BY_NAME[t](3, i % 4 + 1) for i in range(20)), axis=1)  # in several dispatches
    same("Concat", *(BY_NAME[t](i % 3, 5) for i in range(9)), axis=0)
same("Concat", f32(7), axis=0)
same("Concat", f32(2, 0), f32(2, 3), f32(2, 0), axis=1)
same("Concat", f32(0, 2), f32(0, 2), axis=0)
same("Concat", f32(2, 3), f32(2, 2), axis=1, opset=[4, 11, 13])
same("Concat", f16(1, 8, 1024, 64), f16(1, 8, 1, 64), axis=2, perf=True)

# One initialiser as the data (on the device) and as the axes (on the CPU).
case("Squeeze", const([0]), nodes=[helper.make_node("Squeeze", ["x0", "x0"], ["y0"])], id="Squeeze by itself")
