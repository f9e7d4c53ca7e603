"""LayerNormalization, RMSNormalization and their simplified and skip forms."""

import numpy as np

from cases import BY_NAME, NEWEST, Arg, case, f16, f32

ROWS = [
    (1, 1),
    (3, 5),
    (7, 64),
    (1, 576),
    (2, 2048),
    (130, 96),
    (300, 128),
    (1, 3072),
    (5, 2049),
    (1, 100_000),
]
EMPTY = [(0, 64), (2, 0, 8)]


def rms_ref(x, scale, axis=-1, epsilon=1e-5, **_):
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x / np.sqrt(np.mean(x * x, axis=axes, keepdims=True) + epsilon) * scale


def skip_ref(x, skip, scale, shift, bias, epsilon=1e-5):
    y = x + skip + bias
    centred = y - y.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + epsilon) * scale + shift


def offset(dtype: str, *shape: int) -> Arg:
    """Values with a mean that is large against their spread: E[x^2] - mean^2 would cancel."""
    return BY_NAME[dtype](*shape, low=99.0, high=101.0)


for t in ("f32", "f16"):
    x = BY_NAME[t]
    for shape in ROWS:
        cols = shape[-1]
        case("LayerNormalization", x(*shape), x(cols), x(cols), axis=-1)
        case("SimplifiedLayerNormalization", x(*shape), x(cols), axis=-1, epsilon=1e-6)
        case("SkipSimplifiedLayerNormalization", x(1, *shape), x(1, *shape), x(cols), epsilon=1e-5)
        weights = [x(cols) for _ in range(3)]
        ref = skip_ref if cols == 100_000 else None  # the CPU EP sums 100,000 squares in f32, one by one
        case("SkipLayerNormalization", x(1, *shape), x(1, *shape), *weights, epsilon=1e-5, ref=ref)
    for shape in EMPTY:
        case("LayerNormalization", x(*shape), x(shape[-1]), axis=-1)
        case("SimplifiedLayerNormalization", x(*shape), x(shape[-1]), axis=-1)
    for axis in (0, 1, 2, -2):
        inner = (2, 3, 8)[axis:]
        case("LayerNormalization", x(2, 3, 8), x(*inner), x(*inner), axis=axis)
        case("RMSNormalization", x(2, 3, 8), x(*inner), axis=axis, ref=rms_ref)
    case("LayerNormalization", offset(t, 4, 1000), x(1000), x(1000), axis=-1, tol=2e-3, atol=2e-3,
         why="the inputs' rounding at 100 is divided by their small spread")  # fmt: skip
    # The sum that later layers reuse, with and without a bias, and a skip that repeats over the batch.
    for cols in (64, 577):
        case("SkipSimplifiedLayerNormalization", x(2, 3, cols), x(2, 3, cols), x(cols), out=(1, 0, 0, 1))
        case(
            "SkipSimplifiedLayerNormalization",
            x(2, 3, cols),
            x(2, 3, cols),
            x(cols),
            x(cols),
            out=(1, 0, 0, 1),
        )
        case("SkipLayerNormalization", x(2, 3, cols), x(1, 3, cols), x(cols), x(cols), None, out=(1, 0, 0, 1))
        case("SkipLayerNormalization", x(2, 3, cols), x(3, cols), x(cols), None, x(cols), out=(1, 0, 0, 1))

case("LayerNormalization", f32(2, 3, 8), f32(8), f32(8), axis=-1, out=3, opset=[17, NEWEST])
case("LayerNormalization", f32(2, 3, 8), f32(3, 8), axis=1, out=(1, 1), epsilon=0.1)
case("LayerNormalization", f32(2, 3, 8), f32(8), axis=-1, out=(1, 0, 1))
case("SimplifiedLayerNormalization", f32(6, 40), f32(40), axis=-1, out=2)
case("LayerNormalization", f32(4, 8), f32(8), opset=13, axis=-1)  # ONNX Runtime's own registration
case("SimplifiedLayerNormalization", f32(4, 8, outliers=3e4), f32(8), axis=-1)
case("SimplifiedLayerNormalization", f16(4, 64, outliers=6e4), f16(64), axis=-1)
