"""The products of a decoder layer behind its attention, which Daybreak runs as one node."""

from __future__ import annotations

import dataclasses

from .fusion_graphs import Form, product, silu
from .small_models import MS, Builder


@dataclasses.dataclass(frozen=True)
class Chain:
    """Sizes of x, of the residual, of what the gate lets through and of y, and how the graph spells the layer."""

    k: int = 128
    hidden: int = 96
    inner: int = 160
    n: int = 96
    bits: int = 4
    block: int = 32
    kind: str = "skip"  # the residual is added by "skip" or "skip first" (operands swapped), or by an "add"
    activation: str = "silu"
    zeros: str = ""
    bias: str = ""

    def form(self, k: int) -> Form:
        return Form(bits=self.bits, block=self.block, k=k, zeros=self.zeros, bias=self.bias)


def feed_forward(b: Builder, c: Chain, x: str, r: str, name: str = "") -> tuple[str, str]:
    """y and the residual sum of the layer `name`."""
    o = product(b, x, c.hidden, name + "o", c.form(c.k))
    w, n, total = b.weight(name + "w", c.hidden), name + "n", name + "sum"
    if c.kind == "add":
        b.node("Add", [r, o], total)
        b.node("SimplifiedLayerNormalization", [total, w], n, epsilon=1e-5)
    else:
        operands = [r, o] if c.kind == "skip" else [o, r]
        b.node("SkipSimplifiedLayerNormalization", [*operands, w], [n, "", "", total], MS, epsilon=1e-5)
    gate, up = (product(b, n, c.inner, name + part, c.form(c.hidden)) for part in ("gate", "up"))
    if c.activation == "silu":
        act = b.node("Mul", [b.node("Sigmoid", [gate], name + "sigmoid"), gate], name + "act")
    else:
        act = b.node("FastGelu", [gate], name + "act", MS)
    mid = b.node("Mul", [act, up], name + "mid")
    return product(b, mid, c.n, name + "y", c.form(c.inner)), total


def chain(b: Builder, c: Chain) -> None:
    """One layer from x and r to y and the sum."""
    x = b.add_input("x", ["batch", "tokens", c.k])
    r = b.add_input("r", ["batch", "tokens", c.hidden])
    y, total = feed_forward(b, c, x, r)
    b.add_output(y, ["batch", "tokens", c.n])
    b.add_output(total, ["batch", "tokens", c.hidden])


def chains(b: Builder, c: Chain, layers: int) -> None:
    """Layers of which each gives x and the residual to the next; k, hidden and n are equal."""
    x = b.add_input("x", ["batch", "tokens", c.k])
    r = b.add_input("r", ["batch", "tokens", c.hidden])
    for layer in range(layers):
        x, r = feed_forward(b, c, x, r, f"layer{layer}.")
    b.add_output(x, ["batch", "tokens", c.n])
    b.add_output(r, ["batch", "tokens", c.hidden])


def reads_the_product_elsewhere(b: Builder) -> dict[str, int]:
    chain(b, Chain())
    b.add_output("o", ["batch", "tokens", 96])
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def reads_the_gated_product_elsewhere(b: Builder) -> dict[str, int]:
    chain(b, Chain())
    b.add_output("mid", ["batch", "tokens", 160])
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def has_biases(b: Builder) -> dict[str, int]:
    chain(b, Chain(bias="input"))
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def has_zero_points(b: Builder) -> dict[str, int]:
    chain(b, Chain(zeros="u8"))
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def mixes_formats(b: Builder) -> dict[str, int]:
    x = b.add_input("x", ["batch", "tokens", 96])
    r = b.add_input("r", ["batch", "tokens", 96])
    o = product(b, x, 96, "o", Form(bits=8))
    b.node(
        "SkipSimplifiedLayerNormalization", [r, o, b.weight("w", 96)], ["n", "", "", "sum"], MS, epsilon=1e-5
    )
    gate, up = (product(b, "n", 96, name, Form()) for name in ("gate", "up"))
    mid = b.node("Mul", [silu(b, gate), up], "mid")
    b.add_output(product(b, mid, 96, "y", Form()), [])
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def repeats_the_residual(b: Builder) -> dict[str, int]:
    x = b.add_input("x", ["batch", "tokens", 96])
    r = b.add_input("r", ["tokens", 96])
    o = product(b, x, 96, "o", Form())
    b.node(
        "SkipSimplifiedLayerNormalization", [o, r, b.weight("w", 96)], ["n", "", "", "sum"], MS, epsilon=1e-5
    )
    gate, up = (product(b, "n", 96, name, Form()) for name in ("gate", "up"))
    mid = b.node("Mul", [silu(b, gate), up], "mid")
    b.add_output(product(b, mid, 96, "y", Form()), [])
    return {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


# Each builds a graph that is no chain, and returns what the plugin makes of it.
NO_CHAINS = [
    reads_the_product_elsewhere,
    reads_the_gated_product_elsewhere,
    has_biases,
    has_zero_points,
    mixes_formats,
    repeats_the_residual,
]
