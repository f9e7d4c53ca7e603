"""ScatterND, ScatterElements, Scatter: bit-exact without reduction, in update order with one."""

import functools

import numpy as np

from cases import BY_NAME, case, data, f32, i32, i64

same = functools.partial(case, tol=0, atol=0)
EVERY_TYPE = [t for t in BY_NAME if t not in ("i4", "u4")]
SIZES = ["f32", "f16", "u8", "i64"]  # one type of each size
REDUCTIONS = ("add", "mul", "min", "max")
COMBINE = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def scatter_nd(x, indices, updates, reduction="none"):
    y = x.copy()
    flat = updates.reshape(-1, *x.shape[indices.shape[-1] :])
    for index, update in zip(indices.reshape(-1, indices.shape[-1]), flat, strict=True):
        at = tuple(index)
        if all(-n <= k < n for k, n in zip(at, x.shape, strict=False)):
            y[at] = update if reduction == "none" else COMBINE[reduction](y[at], update)
    return y


def scatter_elements(x, indices, updates, axis=0, reduction="none"):
    y = x.copy()
    for at in np.ndindex(*indices.shape):
        to = (*at[: axis % x.ndim], indices[at], *at[axis % x.ndim + 1 :])
        y[to] = updates[at] if reduction == "none" else COMBINE[reduction](y[to], updates[at])
    return y


for t in EVERY_TYPE:
    make = BY_NAME[t]
    same("ScatterND", make(6, 5), data([[4], [-5]]), make(2, 5), ref=scatter_nd)
    same("ScatterND", make(6, 5, 3), data([[4, 0], [-1, 2], [0, -5]]), make(3, 3), ref=scatter_nd)
    same("ScatterElements", make(5, 3), data([[1, 0, -1], [0, 2, 2]]), make(2, 3), ref=scatter_elements)
    same(
        "ScatterElements",
        make(5, 3),
        data([[1, 0], [0, -1]], "i32"),
        make(2, 2),
        axis=1,
        ref=scatter_elements,
    )
for t in SIZES:
    make = BY_NAME[t]
    # Several updates of one place: the last one stays.
    same("ScatterND", make(3, 8), i64(40, 1, low=-3, high=2), make(40, 8), ref=scatter_nd)
    same("ScatterElements", make(3, 7), i32(64, 7, low=-3, high=2), make(64, 7), ref=scatter_elements)
    same("ScatterND", make(4, 4, 4), data([[[0, 1]], [[2, 3]]]), make(2, 1, 4), ref=scatter_nd)
    same("ScatterND", make(3, 4), i64(0, 1), make(0, 4), ref=scatter_nd)
    same("ScatterElements", make(2, 3, 4, 5), i64(1, 2, 4, 3, low=-4, high=3), make(1, 2, 4, 3), axis=2,
         ref=scatter_elements)  # fmt: skip
same("ScatterND", f32(2, 3), data([[0, 1], [1, -1]]), f32(2), opset=[11, 13, 16, 18], bind=True)
same("ScatterElements", f32(2, 3), data([[0, 1, 1]]), f32(1, 3), opset=[11, 13, 16, 18], bind=True)
same("Scatter", f32(2, 3), data([[0, 1, 1]]), f32(1, 3), opset=9)
same("ScatterND", f32(3, 2), data([[3], [1], [-4]]), f32(3, 2), id="ScatterND out of range", ref=scatter_nd)
same("ScatterND", f32(4), data([[2]]), f32(1))

for t in ("f32", "f16", "bf16", "i32", "u32", "i64", "u64", "i8", "u8", "i16"):
    make = BY_NAME[t]
    span = {"low": -3, "high": 3} if t[0] in "fbi" else {"low": 0, "high": 3}
    for reduction in REDUCTIONS:
        attrs = {"reduction": reduction}
        case("ScatterND", make(4, 3, **span), i64(9, 1, low=-4, high=3), make(9, 3, **span), **attrs, ref=scatter_nd,
             **({"tol": 5e-3, "why": "the oracle rounds once, the operator's type holds 11 bits"} if t == "f16" else {})
             )  # fmt: skip
        case("ScatterElements", make(4, 3, **span), i64(5, 3, low=-4, high=3), make(5, 3, **span), **attrs,
             ref=scatter_elements)  # fmt: skip
for reduction in ("add", "mul"):
    same("ScatterElements", i64(2, 2, low=-(2**40), high=2**40), data([[0, 0], [0, 1], [1, 1]]),
         i64(3, 2, low=-(2**22), high=2**22), reduction=reduction, ref=scatter_elements)  # fmt: skip
for reduction in REDUCTIONS:
    same("ScatterND", f32(3, 2), i64(500, 1, low=0, high=2), f32(500, 2, low=0.9, high=1.1), reduction=reduction,
         opset=18 if reduction in ("min", "max") else [16, 18])  # in order: the CPU EP's bits  # fmt: skip
same("ScatterND", f32(1, 3), i64(3000, 1, low=0, high=0), f32(3000, 3), reduction="add")  # one long list
same("ScatterND", BY_NAME["bool"](4, 3), i64(9, 1, low=-4, high=3), BY_NAME["bool"](9, 3), reduction="add",
     ref=lambda x, i, u, reduction: scatter_nd(x, i, u, "max"))  # fmt: skip
case("ScatterND", BY_NAME["f64"](4, 3), i64(9, 1, low=0, high=3), BY_NAME["f64"](9, 3), reduction="add",
     declined="reductions of f64")  # fmt: skip
