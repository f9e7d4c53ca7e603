"""MoE and QMoE: routing, every activation and form of gate, bits, blocks, zero points, few and many tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases import Arg, case, const, data, f16, f32, u8
from cases.matmul_nbits import unpack

Array = np.ndarray[Any, np.dtype[Any]]
Shares = Callable[[int], list[tuple[int, float]]]  # of a token: its experts and their shares

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda v: np.maximum(v, 0.0),
    "gelu": lambda v: 0.5 * v * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (v + 0.044715 * v**3))),
    "silu": lambda v: v / (1.0 + np.exp(-v)),
    "identity": lambda v: v,
}


def dequantise(w: Array, scales: Array, zeros: Array | None, bits: int, block: int) -> Array:
    """The weights [experts, rows, K]; zero points of two dimensions are packed along the rows."""
    q = unpack(w, bits)
    experts, rows, k = q.shape
    scales = scales.reshape(experts, rows, -1)
    blocks = scales.shape[2]
    if zeros is None:
        zero = np.full(scales.shape, 2.0 ** (bits - 1))
    elif zeros.ndim == 2:
        zero = unpack(zeros, bits)[:, :rows, None]
    else:
        zero = unpack(zeros, bits)[:, :, :blocks]
    size = block or k
    return (q - np.repeat(zero, size, 2)[..., :k]) * np.repeat(scales, size, 2)[..., :k]


def experts_of(logits: Array, k: int) -> list[int]:
    """The k best; of equal ones the higher index, as ONNX Runtime's CPU kernels choose."""
    return sorted(range(len(logits)), key=lambda e: (logits[e], e), reverse=True)[:k]


def activate(h: Array, up: Array | None, attributes: dict[str, Any]) -> Array:
    name = attributes["activation_type"]
    if name != "swiglu":
        return ACTIVATIONS[name](h) if up is None else ACTIVATIONS[name](h) * up
    if up is None:
        half = h.shape[-1] // 2
        h, up = (
            (h[..., ::2], h[..., 1::2])
            if attributes["swiglu_fusion"] == 1
            else (h[..., :half], h[..., half:])
        )
    limit = attributes.get("swiglu_limit", np.inf)
    g = np.minimum(h, limit)
    up = np.clip(up, -limit, limit) + attributes.get("activation_beta", 0.0)
    return g / (1.0 + np.exp(-attributes.get("activation_alpha", 1.0) * g)) * up


def mixture(x: Array, shares: Shares, fc1: Array, bias1: Array | None, fc2: Array, bias2: Array | None,
            fc3: Array | None, bias3: Array | None, attributes: dict[str, Any]) -> Array:  # fmt: skip
    def product(v: Array, w: Array, bias: Array | None, expert: int) -> Array:
        return v @ w[expert].T + (0.0 if bias is None else bias[expert])

    rows = x.reshape(-1, x.shape[-1])
    y = np.zeros(rows.shape)
    with np.errstate(over="ignore"):
        for t, row in enumerate(rows):
            for expert, share in shares(t):
                up = None if fc3 is None else product(row, fc3, bias3, expert)
                h = activate(product(row, fc1, bias1, expert), up, attributes)
                y[t] += share * product(h, fc2, bias2, expert)
    return y.reshape(x.shape)


def moe_ref(x: Array, router: Array, fc1: Array, bias1: Array | None, fc2: Array, bias2: Array | None = None,
            fc3: Array | None = None, bias3: Array | None = None, **attributes: Any) -> Array:  # fmt: skip
    def shares(t: int) -> list[tuple[int, float]]:
        chosen = experts_of(router[t], attributes["k"])
        e = np.exp(router[t] - router[t].max())
        total = e[chosen].sum() if attributes.get("normalize_routing_weights") else e.sum()
        return [(i, e[i] / total) for i in chosen]

    return mixture(x, shares, fc1, bias1, fc2, bias2, fc3, bias3, attributes)


def qmoe_ref(x: Array, router: Array, *rest: Array | None, **attributes: Any) -> Array:
    w1, s1, b1, w2, s2, b2, w3, s3, b3, z1, z2, z3, weights = [*rest, *[None] * (13 - len(rest))]
    bits, block = attributes["expert_weight_bits"], attributes.get("block_size", 0)

    def shares(t: int) -> list[tuple[int, float]]:
        chosen = experts_of(router[t], attributes["k"])
        e = np.exp(router[t] - router[t].max()) if weights is None else weights[t]
        total = e[chosen].sum() if weights is None or attributes.get("normalize_routing_weights") else 1.0
        return [(i, e[i] / total) for i in chosen if e[i] / total > 1e-8]

    def matrix(w: Array | None, scales: Array | None, zeros: Array | None, n: int) -> Array | None:
        if w is None or scales is None:
            return None
        return dequantise(w, scales, zeros, attributes.get(f"fc{n}_expert_weight_bits", bits), block)

    fc1, fc2, fc3 = matrix(w1, s1, z1, 1), matrix(w2, s2, z2, 2), matrix(w3, s3, z3, 3)
    assert fc1 is not None and fc2 is not None
    return mixture(x, shares, fc1, b1, fc2, b2, fc3, b3, attributes)


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def fused(activation: str, fc3: bool) -> int:
    return 2 if activation == "swiglu" and not fc3 else 1


def moe(tokens: int | tuple[int, int], experts: int, hidden: int, inter: int, *, k: int = 1, activation: str = "relu",
        bias: bool = False, fc3: bool = False, half: bool = False, oracle: str = "ref", router: Arg | None = None,
        outliers: float = 0.0, **attributes: Any) -> None:  # fmt: skip
    real = f16 if half else f32
    shape = (tokens,) if isinstance(tokens, int) else tokens
    scale = 1.0 / np.sqrt(hidden)

    def weights(*dims: int) -> Arg:
        return const(real(*dims, low=-2.0 * scale, high=2.0 * scale))

    rows = inter * fused(activation, fc3)
    inputs: list[Arg | None] = [
        real(*shape, hidden, outliers=outliers),
        router or real(int(np.prod(shape)), experts),
    ]
    for n, m in [(rows, hidden), (hidden, inter), (inter, hidden)][: 3 if fc3 else 2]:
        inputs += [weights(experts, n, m), const(real(experts, n)) if bias else None]
    while inputs[-1] is None:
        inputs.pop()
    case(
        "MoE",
        *inputs,
        ref=moe_ref if oracle == "ref" else None,
        k=k,
        activation_type=activation,
        **attributes,
    )


def qmoe(tokens: int | tuple[int, int], experts: int, hidden: int, inter: int, *, k: int = 1, bits: int = 4,
         block: int = 0, zeros: bool = False, activation: str = "relu", bias: bool = False, fc3: bool = False,
         half: bool = False, oracle: str = "ref", router: Arg | None = None, weights: bool = False,
         outliers: float = 0.0, options: dict[str, str] | None = None, bits2: int = 0,
         **attributes: Any) -> None:  # fmt: skip
    real = f16 if half else f32
    shape = (tokens,) if isinstance(tokens, int) else tokens
    count = int(np.prod(shape))

    def matrix(n: int, m: int, width: int) -> list[Arg]:
        blocks = () if block == 0 else (ceil(m, block),)
        top = 4.0 / 2**width / np.sqrt(m)
        return [
            const(u8(experts, n, m * width // 8)),
            const(real(experts, n, *blocks, low=top / 4, high=top)),
        ]

    def zero_points(n: int, m: int, width: int) -> Arg:
        if block == 0:
            return const(u8(experts, ceil(n * width, 8)))
        return const(u8(experts, n, ceil(ceil(m, block) * width, 8)))

    sizes = [(inter * fused(activation, fc3), hidden, bits), (hidden, inter, bits2 or bits)]
    sizes += [(inter, hidden, bits)] if fc3 else []
    inputs: list[Arg | None] = [real(*shape, hidden, outliers=outliers), router or real(count, experts)]
    for size in sizes:
        inputs += [*matrix(*size), const(real(experts, size[0])) if bias else None]
    if not fc3:
        inputs += [None] * 3
    inputs += [zero_points(*size) if zeros else None for size in sizes] + [None] * (3 - len(sizes))
    inputs.append(real(count, experts, low=0.0, high=1.0) if weights else None)
    while inputs[-1] is None:
        inputs.pop()
    if activation == "swiglu" and not fc3:
        attributes.setdefault("swiglu_fusion", 1)
    if bits2:
        attributes["fc2_expert_weight_bits"] = bits2
    if block:
        attributes["block_size"] = block
    case("QMoE", *inputs, ref=qmoe_ref if oracle == "ref" else None, options=options, k=k, expert_weight_bits=bits,
         activation_type=activation, **attributes)  # fmt: skip


SWIGLU: dict[str, Any] = {
    "activation": "swiglu",
    "activation_alpha": 1.702,
    "activation_beta": 1.0,
    "swiglu_limit": 1.5,
}
MANY = 40  # tokens that take the kernel of tiles, with few experts

turn = 0
for tokens in (1, MANY):
    for bits in (2, 4, 8):
        for block in (0, 16, 64):
            for zeros in (False, True) if tokens == 1 else (True,):  # the types take turns
                turn += 1
                half = turn % 3 == 0
                qmoe(
                    tokens, 4, 64, 128, k=2, bits=bits, block=block, zeros=zeros, activation="silu", half=half
                )
    for activation in ("relu", "gelu", "silu", "identity"):
        moe(tokens, 4, 16, 24, k=2, activation=activation, half=activation == "gelu")
        qmoe(tokens, 4, 32, 48, k=2, block=16, activation=activation, bias=True, half=activation == "silu")
    for half in (False, True):
        for fusion in (1, 2):
            moe(tokens, 5, 32, 20, k=3, **SWIGLU, swiglu_fusion=fusion, bias=True, half=half)
            qmoe(tokens, 5, 64, 32, k=3, block=32, **SWIGLU, swiglu_fusion=fusion, bias=True, half=half)
        for activation in ("relu", "swiglu"):  # a third matrix
            moe(tokens, 3, 24, 20, k=2, activation=activation, fc3=True, bias=True, half=half)
            qmoe(
                tokens,
                3,
                32,
                64,
                k=2,
                block=16,
                activation=activation,
                fc3=True,
                zeros=True,
                bias=True,
                half=half,
            )
        moe(tokens, 4, 17, 9, k=2, activation="silu", bias=True, half=half)  # rows that are not whole words
        qmoe(tokens, 4, 34, 18, k=2, bits=4, zeros=True, activation="silu", bias=True, half=half)
        qmoe(tokens, 3, 37, 11, k=2, bits=8, zeros=True, **SWIGLU, half=half)
    qmoe(tokens, 3, 36, 20, k=2, bits=2, zeros=True, **SWIGLU, swiglu_fusion=2)
    for normalise in (0, 1):
        moe(tokens, 4, 16, 24, k=2, normalize_routing_weights=normalise)
        qmoe(tokens, 6, 32, 32, k=3, block=16, weights=True, normalize_routing_weights=normalise, half=True)
    qmoe(tokens, 4, 64, 64, k=2, block=32, bits=4, bits2=8)
for k, experts in [(1, 1), (1, 8), (2, 2), (4, 64), (4, 130)]:
    qmoe((2, 3), experts, 32, 32, k=k, block=32, **SWIGLU)
    qmoe((3, 50), experts, 32, 32, k=k, block=32, **SWIGLU, half=True)
qmoe(300, 4, 64, 96, k=2, block=32, **SWIGLU)
qmoe(0, 4, 32, 32, k=2, block=32)
moe((0, 2), 4, 16, 16, k=2, half=True)
qmoe(1, 8, 1024, 512, k=4, block=32, **SWIGLU, bias=True, half=True)
qmoe(200, 8, 256, 512, k=4, block=32, **SWIGLU, bias=True, half=True)
moe(1, 8, 512, 256, k=2, activation="silu", half=True)
for tokens in (1, 64):
    qmoe(tokens, 4, 128, 128, k=2, block=32, activation="relu", outliers=800.0, half=True)
    # The products of the gate leave the range of f16; the result does not.
    qmoe(tokens, 2, 64, 64, k=1, block=32, activation="silu", fc3=True, outliers=800.0, half=True, atol=2e-3,
         why="matrix units take weights and intermediate values as f16")  # fmt: skip

# The CPU EP itself.
for tokens in (1, 5, MANY):
    for activation in ("relu", "gelu", "silu", "identity"):
        moe(tokens, 4, 16, 32, k=2, activation=activation, bias=True, oracle="cpu")
    moe(tokens, 4, 16, 32, k=2, **SWIGLU, swiglu_fusion=1, normalize_routing_weights=1, oracle="cpu")
    qmoe(tokens, 4, 64, 32, k=2, block=32, **SWIGLU, bias=True, oracle="cpu")
    qmoe(tokens, 4, 64, 32, k=2, zeros=True, activation="silu", bias=True, oracle="cpu")
    qmoe(tokens, 4, 64, 32, k=2, block=32, weights=True, activation="silu", oracle="cpu")

# One expert takes all, or none at all; equal logits; logits that softmax cannot tell from zero.
for tokens in (3, MANY):
    favourite = np.zeros((tokens, 5))
    favourite[:, 2] = 9.0
    for oracle in ("ref", "cpu"):
        qmoe(
            tokens, 5, 32, 32, k=1, block=16, activation="silu", router=data(favourite, "f32"), oracle=oracle
        )
        moe(tokens, 5, 16, 16, k=3, activation="silu", router=data(favourite, "f32"), oracle=oracle)
        moe(tokens, 5, 16, 16, k=2, router=data(np.zeros((tokens, 5)), "f32"), oracle=oracle)
        extreme = np.tile([-1e4, 0.0, 1e4, -np.inf, -3e38], (tokens, 1))
        qmoe(tokens, 5, 32, 32, k=3, block=16, router=data(extreme, "f32"), oracle=oracle)
signs = np.array([[1.0, -1.0, 0.5], [-0.5, -1.0, 0.0]])
matrices = [const(u8(3, 16, 16)), const(f32(3, 16)), None, const(u8(3, 32, 8)), const(f32(3, 32))]
case("QMoE", f32(2, 32), f32(2, 3), *matrices, *[None] * 7, data(signs, "f32"), ref=qmoe_ref, k=2, expert_weight_bits=4,
     activation_type="silu")  # fmt: skip
case("MoE", f32(2, 16), f32(2, 3), f32(3, 8, 16), None, f32(3, 16, 8), ref=moe_ref, k=2, activation_type="silu",
     symbolic=True)  # fmt: skip

# More intermediate values than are kept at once.
qmoe(1100, 4, 16, 4096, k=4, bits=8, activation="relu")

FEW = (f32(2, 32), f32(2, 4))
W1, S1, W2, S2 = const(u8(4, 16, 16)), const(f32(4, 16)), const(u8(4, 32, 8)), const(f32(4, 32))
for reason, attributes in {
    "activation_type is tanh": {"activation_type": "tanh"},
    "use_sparse_mixer": {"use_sparse_mixer": 1},
    "quant_type is fp8": {"quant_type": "fp8"},
    "weights_prepacked": {"weights_prepacked": 1},
    "weights of 3 bits": {"expert_weight_bits": 3},
    "block_size is 24": {"block_size": 24},
    "swiglu_fusion is 0": {"activation_type": "swiglu"},
}.items():
    case("QMoE", *FEW, W1, S1, None, W2, S2, k=2, **attributes, declined=reason)
case("QMoE", *FEW, W1, None, None, W2, S2, k=2, declined="input 3 (scales) is absent")
case("QMoE", *FEW, W1, S1, None, W2, S2, None, const(u8(4, 16, 32)), S1, k=2, fc3_expert_weight_bits=8,
     declined="fc1 and fc3 differ in bits")  # fmt: skip
case("QMoE", *FEW, W1, S1, None, W2, S2, None, W1, S1, k=2, activation_type="swiglu", swiglu_fusion=1,
     declined="swiglu_fusion and fc3")  # fmt: skip
case("QMoE", *FEW, W1, S1, None, W2, S2, *[None] * 8, const(f32(4)), k=2, declined="input 15")
case("MoE", *FEW, f32(4, 32, 16), None, f32(4, 16, 32), k=2, declined="legacy order")
case("MoE", f32(2, 32), f32(2, 4100), f32(4100, 1, 32), None, f32(4100, 32, 1), k=2, declined="4100 experts")
