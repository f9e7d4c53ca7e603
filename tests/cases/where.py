"""Where: every type, and broadcasting of all three operands."""

import numpy as np

from cases import BY_NAME, DTYPES, case

SHAPES = [
    ((), (), ()),
    ((5,), (5,), (5,)),
    ((4, 8), (4, 8), (4, 8)),
    ((), (3, 4), (3, 4)),
    ((3, 4), (), ()),
    ((1, 1, 6, 8), (2, 3, 6, 8), ()),
    ((2, 1, 1, 8), (2, 3, 6, 8), (1,)),
    ((6, 1), (1, 12), (6, 12)),
    ((6, 1), (12,), (6, 1)),
    ((3, 5), (5,), (3, 1)),
    ((2, 1, 2, 1, 2, 1, 2, 1), (1, 3, 1, 3, 1, 3, 1, 3), ()),
    ((0, 4), (1,), (4,)),
]
for t in ("f32", "f16", "i64", "u8", "bool"):
    for c, a, b in SHAPES:
        case("Where", BY_NAME["bool"](*c), BY_NAME[t](*a), BY_NAME[t](*b), ref=np.where)
for t in DTYPES:
    if t not in ("i4", "u4"):
        case("Where", BY_NAME["bool"](3, 5), BY_NAME[t](3, 5), BY_NAME[t](5), ref=np.where)
case(
    "Where", BY_NAME["bool"](1, 1, 1024, 1024), BY_NAME["f16"](1, 16, 1024, 1024), BY_NAME["f16"](), perf=True
)
