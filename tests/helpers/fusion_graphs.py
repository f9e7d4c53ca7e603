"""Graphs around MatMulNBits that Daybreak fuses in whole, in part or not at all."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx

from .small_models import MS, Builder


@dataclasses.dataclass(frozen=True)
class Form:
    """What the products of a test are like."""

    bits: int = 4
    block: int = 32
    zeros: str = ""  # "", "u8" or "float"
    bias: str = ""  # "", "input" or "add"
    k: int = 96


def product(b: Builder, x: str, n: int, y: str, form: Form) -> str:
    """MatMulNBits of x to n columns, and the Add of its bias when that is a node."""
    blocks = -(-form.k // form.block)
    bits = form.bits
    scale = 1.7 / form.k**0.5 / 2 ** (bits - 1)
    names = [
        x,
        b.constant(y + ".q", b.rng.integers(0, 256, (n, blocks, form.block * bits // 8), dtype=np.uint8)),
        b.constant(y + ".s", (b.rng.uniform(0.5, 1.0, (n, blocks)) * scale).astype(b.dtype)),
    ]
    if form.zeros == "u8":
        size = (n, -(-blocks * bits // 8))
        names.append(b.constant(y + ".z", b.rng.integers(0, 256, size, dtype=np.uint8)))
    elif form.zeros == "float":
        names.append(b.constant(y + ".z", b.rng.uniform(0, 2**bits, (n, blocks)).astype(b.dtype)))
    if form.bias == "input":
        names += [""] * (5 - len(names)) + [b.weight(y + ".b", n)]
    attrs = {"K": form.k, "N": n, "bits": bits, "block_size": form.block}
    if form.bias != "add":
        return b.node("MatMulNBits", names, y, MS, **attrs)
    b.node("MatMulNBits", names, y + ".m", MS, **attrs)
    return b.node("Add", [y + ".m", b.weight(y + ".b", n)], y)


def norm(b: Builder, kind: str, form: Form) -> tuple[str, str]:
    """The norm of x, or of x + r, and that sum ("" where there is none)."""
    shape = ["batch", "tokens", form.k]
    x, w = b.add_input("x", shape), b.weight("w", form.k)
    if kind == "plain":
        return b.node("SimplifiedLayerNormalization", [x, w], "n", axis=-1, epsilon=1e-5), ""
    r = b.add_input("r", shape)
    if kind == "skip":
        outputs = ["n", "", "", "sum"]
        b.node("SkipSimplifiedLayerNormalization", [x, r, w], outputs, MS, epsilon=1e-5)
        return "n", "sum"
    b.node("Add", [x, r], "sum")
    return b.node("SimplifiedLayerNormalization", ["sum", w], "n", epsilon=1e-5), "sum"


def silu(b: Builder, gate: str) -> str:
    return b.node("Mul", [b.node("Sigmoid", [gate], "sigmoid"), gate], "act")


def qkv(b: Builder, kind: str, form: Form, columns: tuple[int, ...], use_sum: bool) -> None:
    n, total = norm(b, kind, form)
    for i, width in enumerate(columns):
        b.add_output(product(b, n, width, f"y{i}", form), ["batch", "tokens", width])
    if use_sum:
        b.add_output(b.node("Neg", [total], "negative"), ["batch", "tokens", form.k])


def gated(b: Builder, kind: str, form: Form, activation: str = "Sigmoid", use_sum: bool = False) -> None:
    n, total = norm(b, kind, form)
    gate, up = (product(b, n, 72, name, form) for name in ("gate", "up"))
    if activation == "Sigmoid":
        act = silu(b, gate)
    elif activation == "QuickGelu":
        act = b.node("QuickGelu", [gate], "act", MS, alpha=1.0)
    elif activation == "Gelu":
        act = b.node("Gelu", [gate], "act", approximate="tanh")
    else:
        act = b.node(activation, [gate], "act", MS)
    b.add_output(b.node("Mul", [up, act], "y"), ["batch", "tokens", 72])
    if use_sum:
        b.add_output(total, ["batch", "tokens", form.k])


def model(b: Builder) -> bytes:
    """The model at an opset that has Gelu."""
    proto = onnx.load_from_string(b.serialize())
    proto.opset_import[0].version = 20
    proto.ir_version = 10
    data: bytes = proto.SerializeToString()
    return data


def feeds(data: bytes, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    found = {}
    for info in onnx.load_from_string(data).graph.input:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        width = info.type.tensor_type.shape.dim[-1].dim_value
        found[info.name] = rng.standard_normal((1, rows, width)).astype(dtype)
    return found


def uses_norm_elsewhere(b: Builder) -> dict[str, int]:
    n, _ = norm(b, "plain", Form())
    for name in ("y0", "y1"):
        b.add_output(product(b, n, 40, name, Form()), [])
    b.add_output(b.node("Neg", [n], "more"), [])
    return {"alone SimplifiedLayerNormalization": 1, "alone Neg": 1, "MatMulNBitsGroup": 1}


def gives_norm_to_the_caller(b: Builder) -> dict[str, int]:
    n, _ = norm(b, "add", Form())
    b.add_output(product(b, n, 40, "y0", Form()), [])
    b.add_output(n, [])
    return {"alone MatMulNBits": 1, "SkipSimplifiedLayerNormalization": 1}


def uses_gate_elsewhere(b: Builder) -> dict[str, int]:
    gated(b, "plain", Form())
    b.add_output("gate", [])
    return {"MatMulNBitsGroup": 1, "alone Sigmoid": 1, "alone Mul": 2}


def uses_activation_elsewhere(b: Builder) -> dict[str, int]:
    gated(b, "plain", Form())
    b.add_output(b.node("Neg", ["act"], "more"), [])
    return {"MatMulNBitsGroup": 1, "alone Sigmoid": 1, "alone Mul": 2, "alone Neg": 1}


def multiplies_other_values(b: Builder) -> dict[str, int]:
    n, _ = norm(b, "plain", Form())
    gate, up = (product(b, n, 72, name, Form()) for name in ("gate", "up"))
    b.add_output(b.node("Mul", [b.node("Sigmoid", [gate], "sigmoid"), up], "y"), [])
    return {"MatMulNBitsGroup": 1, "alone Sigmoid": 1, "alone Mul": 1}


def mixes_formats(b: Builder) -> dict[str, int]:
    n, _ = norm(b, "skip", Form())
    for name, form in {"y0": Form(), "y1": Form(bits=8), "y2": Form()}.items():
        b.add_output(product(b, n, 40, name, form), [])
    return {"MatMulNBitsGroup": 1}


def shares_a_norm_of_two_blocks(b: Builder) -> dict[str, int]:
    """Attention and feed-forward side by side: the norm's result is read by five products."""
    gated(b, "plain", Form(zeros="u8"))
    for name in ("q", "k", "v"):
        b.add_output(product(b, "n", 40, name, Form(zeros="u8")), [])
    return {"MatMulNBitsGated": 1, "MatMulNBitsGroup": 1, "alone SimplifiedLayerNormalization": 1}


def computes_a_bias(b: Builder) -> dict[str, int]:
    """What the second product adds depends on the first one: they cannot run at once with it."""
    n, _ = norm(b, "plain", Form())
    y = product(b, n, 40, "y0", Form())
    b.add_output(y, [])
    axes = b.constant("axes", np.array([0, 1]))
    row = b.node("ReduceSum", [y, axes], "row", keepdims=0)
    b.add_output(b.node("Add", [product(b, n, 40, "y1", Form()), row], "y2"), [])
    return {"MatMulNBitsGroup": 1, "alone ReduceSum": 1, "alone Add": 1}


def computes_scales(b: Builder) -> dict[str, int]:
    """A product whose scales depend on another one stays."""
    n, _ = norm(b, "plain", Form())
    y = product(b, n, 120, "y0", Form())
    b.add_output(y, [])
    rows = b.node(
        "Slice", [y, *(b.constant(c, np.array([i])) for c, i in (("from", 0), ("to", 1), ("at", 1)))], "one"
    )
    scales = b.node("Reshape", [rows, b.constant("shape", np.array([40, 3]))], "scales")
    q = b.constant("q", b.rng.integers(0, 256, (40, 3, 16), dtype=np.uint8))
    b.add_output(b.node("MatMulNBits", [n, q, scales], "y1", MS, K=96, N=40, bits=4, block_size=32), [])
    return {
        "alone MatMulNBits": 2,
        "alone SimplifiedLayerNormalization": 1,
        "alone Slice": 1,
        "alone Reshape": 1,
    }


def adds_rows(b: Builder) -> dict[str, int]:
    """The Add repeats its second operand, which is more than a residual."""
    x, r = b.add_input("x", ["batch", "tokens", 96]), b.add_input("r", [1, 1, 96])
    b.node("Add", [x, r], "sum")
    n = b.node("SimplifiedLayerNormalization", ["sum", b.weight("w", 96)], "n", epsilon=1e-5)
    b.add_output(product(b, n, 40, "y0", Form()), [])
    return {"MatMulNBitsGroup": 1, "alone Add": 1}


def has_no_product(b: Builder) -> dict[str, int]:
    n, total = norm(b, "add", Form())
    b.add_output(b.node("Neg", [n], "more"), [])
    b.add_output(total, [])
    return {"SkipSimplifiedLayerNormalization": 1, "alone Neg": 1}


def gates_dense_products(b: Builder) -> dict[str, int]:
    x = b.add_input("x", ["batch", "tokens", 96])
    gate, up = (
        b.node("MatMul", [x, b.weight(name + ".w", 96, 40, scale=0.2)], name) for name in ("gate", "up")
    )
    b.add_output(b.node("Mul", [silu(b, gate), up], "y"), [])
    return {"GatedActivation": 1, "alone MatMul": 2}


def gates_a_row(b: Builder) -> dict[str, int]:
    """The product repeats the row, which the kernel does not."""
    x = b.add_input("x", ["batch", "tokens", 96])
    gate = b.node("FastGelu", [x], "gate", MS)
    b.add_output(b.node("Mul", [b.weight("w", 96), gate], "y"), [])
    return {"alone FastGelu": 1, "alone Mul": 1}


def leaves_results_unread(b: Builder) -> dict[str, int]:
    n, _ = norm(b, "skip", Form())
    b.add_output(product(b, n, 40, "y0", Form()), [])
    product(b, n, 40, "y1", Form())
    b.add_output(product(b, n, 40, "y2", Form()), [])
    return {"MatMulNBitsGroup": 1, "alone MatMulNBits": 1, "alone SkipSimplifiedLayerNormalization": 1}


# Each builds a graph and returns what the plugin makes of it: fused nodes by operator, and nodes that stay.
GRAPHS = [
    uses_norm_elsewhere,
    gives_norm_to_the_caller,
    uses_gate_elsewhere,
    uses_activation_elsewhere,
    multiplies_other_values,
    mixes_formats,
    shares_a_norm_of_two_blocks,
    computes_a_bias,
    computes_scales,
    adds_rows,
    has_no_product,
    gates_dense_products,
    gates_a_row,
    leaves_results_unread,
]
