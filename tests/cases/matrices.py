"""Trilu, EyeLike, and Dropout at inference."""

import numpy as np

from cases import BY_NAME, DTYPES, case, const, data

for upper in (0, 1):
    for k in (-100, -2, 0, 1, 3, 2**40):
        for shape in ((4, 5), (2, 3, 7), (5, 1), (2, 2, 8, 8)):
            case(
                "Trilu",
                BY_NAME["f32"](*shape),
                data(k),
                upper=upper,
                ref=lambda x, k, upper: triangle(x, k, upper),
            )
    for t in ("f16", "i64", "u8", "bool", "i32"):
        case(
            "Trilu", BY_NAME[t](3, 5, 7), const(1), upper=upper, ref=lambda x, k, upper: triangle(x, k, upper)
        )
    case("Trilu", BY_NAME["f32"](3, 5), upper=upper)
    case("Trilu", BY_NAME["f32"](0, 3, 5), upper=upper)


def triangle(x, k, upper):
    return (np.triu if upper else np.tril)(x, int(np.clip(k, -1000, 1000)))


for k in (-2, 0, 3):
    for t in ("f32", "f16", "i32", "i64", "u8", "bool"):
        kind = DTYPES[t]
        case("EyeLike", BY_NAME["f32"](3, 5), k=k, dtype=kind[0],
             ref=lambda x, k, dtype, n=kind[1]: np.eye(*x.shape, k).astype(n))  # fmt: skip
    case("EyeLike", BY_NAME["i32"](9, 4), k=k)

for t in ("f32", "f16"):
    case("Dropout", BY_NAME[t](3, 5), ref=lambda x: x)
    case(
        "Dropout",
        BY_NAME[t](3, 5),
        const(BY_NAME["f32"](value=0.4)),
        out=2,
        ref=lambda x, r: (x, np.ones(x.shape, bool)),
    )
case("Dropout", BY_NAME["f32"](4, 8), None, const(BY_NAME["bool"](value=False)), ref=lambda x, r, t: x)
case(
    "Dropout",
    BY_NAME["f32"](4, 8),
    None,
    const(BY_NAME["bool"](value=True)),
    declined="training_mode is true",
)
case("Dropout", BY_NAME["f32"](4, 8), ratio=0.3, opset=[7, 10])
