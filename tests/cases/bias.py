"""Contrib operators that add a bias before an activation."""

import math

import numpy as np

from cases import BY_NAME, case

erf = np.vectorize(math.erf, otypes=[float])


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def split_gelu(x, bias):
    left, right = np.split(x + bias, 2, axis=-1)
    return left * gelu(right)


for t in ("f32", "f16"):
    for shape in ((7,), (3, 5), (2, 3, 8), (2, 4, 640), (0, 8)):
        x, bias = BY_NAME[t](*shape), BY_NAME[t](shape[-1])
        case("BiasGelu", x, bias)
        case("FastGelu", x, bias)
        case("FastGelu", x)
    for channels in (6, 16, 640):
        case("BiasSplitGelu", BY_NAME[t](2, 3, 2 * channels), BY_NAME[t](2 * channels), ref=split_gelu)
    for channels in (5, 16, 320):
        case("BiasAdd", *(BY_NAME[t](*s) for s in ((2, 3, channels), (channels,), (2, 3, channels))),
             ref=lambda x, bias, skip: x + bias + skip)  # fmt: skip
