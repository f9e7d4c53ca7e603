"""Models of a few nodes, weights inside, that reach what ONNX Runtime's versions do differently."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
ONNX_TYPES = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}


@dataclasses.dataclass
class SmallModel:
    """A model, the inputs of one run, and how far an f32 or f16 result may be from the CPU EP's."""

    data: bytes
    feeds: dict[str, np.ndarray]
    tolerance: float


class Builder:
    def __init__(self, dtype: type, seed: int = 0) -> None:
        self.dtype = dtype
        self.type = ONNX_TYPES[dtype]
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[TensorProto] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def node(
        self, op: str, inputs: list[str], outputs: str | list[str], domain: str = "", **attrs: Any
    ) -> str:
        """Adds a node named after its first output, which it returns."""
        names = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(
            helper.make_node(op, inputs, names, name=names[0] + "/" + op, domain=domain, **attrs)
        )
        return names[0]

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, name: str, *shape: int, scale: float = 1.0) -> str:
        return self.constant(name, (self.rng.standard_normal(shape) * scale).astype(self.dtype))

    def add_input(self, name: str, shape: list[Any], onnx_type: int | None = None) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, onnx_type or self.type, shape))
        return name

    def add_output(self, name: str, shape: list[Any] | None, onnx_type: int | None = None) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, onnx_type or self.type, shape))

    def serialize(self) -> bytes:
        graph = helper.make_graph(self.nodes, "small", self.inputs, self.outputs, self.weights)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)]
        data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
        return data


def projection(b: Builder, x: str, k: int, n: int, y: str, bits: int = 4, block: int = 32) -> str:
    """y = x · dequantised(y.q)ᵀ, with k inputs and n outputs."""
    blocks = -(-k // block)
    quantized = b.rng.integers(0, 256, (n, blocks, block * bits // 8), dtype=np.uint8)
    scales = b.rng.uniform(0.5, 1.0, n * blocks) * 1.7 / k**0.5 / 2 ** (bits - 1)
    inputs = [x, b.constant(y + ".q", quantized), b.constant(y + ".s", scales.astype(b.dtype))]
    return b.node("MatMulNBits", inputs, y, MS, K=k, N=n, bits=bits, block_size=block)


HIDDEN, HEADS, KV_HEADS, DIM, FFN, VOCABULARY = 128, 4, 2, 32, 256, 160


def decoder(dtype: type, layers: int = 2, past: int = 3, tokens: int = 5) -> SmallModel:
    """A language model as ONNX Runtime's model builder lays it out; `past` positions are in the cache."""
    b = Builder(dtype)
    b.add_input("input_ids", ["batch", "tokens"], TensorProto.INT64)
    b.add_input("attention_mask", ["batch", "total"], TensorProto.INT64)
    lengths_and_angles(b)
    x = b.node("Gather", [b.weight("embedding", VOCABULARY, HIDDEN, scale=0.5), "input_ids"], "x0", axis=0)
    norm = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}
    n = b.node("SimplifiedLayerNormalization", [x, b.weight("norm0", HIDDEN)], "n0", **norm)
    for i in range(layers):
        n, x = decoder_layer(b, i, n, x)
    projection(b, n, HIDDEN, VOCABULARY, "logits", bits=8)
    b.add_output("logits", ["batch", "tokens", VOCABULARY])

    rng = np.random.default_rng(1)
    feeds = {
        "input_ids": rng.integers(0, VOCABULARY, (1, tokens)),
        "attention_mask": np.ones((1, past + tokens), np.int64),
    }
    for i in range(layers):
        for name in ("key", "value"):
            feeds[f"past.{i}.{name}"] = rng.standard_normal((1, KV_HEADS, past, DIM)).astype(dtype)
    return SmallModel(b.serialize(), feeds, 1e-4 if dtype is np.float32 else 2e-2)


def lengths_and_angles(b: Builder, limit: int = 64) -> None:
    """seqlens_k and total_len out of attention_mask, and the rotary caches cos and sin for `limit` positions."""
    b.node("ReduceSum", ["attention_mask", b.constant("axis", np.array([1]))], "mask_sum", keepdims=1)
    b.node("Sub", ["mask_sum", b.constant("one", np.array([1]))], "last64")
    b.node("Cast", ["last64"], "seqlens_k", to=TensorProto.INT32)
    b.node("Shape", ["attention_mask"], "mask_shape")
    b.node("Gather", ["mask_shape", b.constant("index", np.array(1))], "total64", axis=0)
    b.node("Cast", ["total64"], "total_len", to=TensorProto.INT32)
    angles = np.arange(limit)[:, None] / 10000 ** (np.arange(0, DIM, 2) / DIM)[None]
    b.constant("cos", np.cos(angles).astype(b.dtype))
    b.constant("sin", np.sin(angles).astype(b.dtype))


def decoder_layer(b: Builder, i: int, n: str, x: str) -> tuple[str, str]:
    """Layer i on the normalised n and the residual x; returns the next two."""
    p = f"layer{i}."
    widths = {"q": HEADS, "k": KV_HEADS, "v": KV_HEADS}
    q, k, v = (projection(b, n, HIDDEN, width * DIM, p + name) for name, width in widths.items())
    cache = [b.add_input(f"past.{i}.{c}", ["batch", KV_HEADS, "past", DIM]) for c in ("key", "value")]
    present = [f"present.{i}.key", f"present.{i}.value"]
    for name in present:
        b.add_output(name, ["batch", KV_HEADS, "total", DIM])
    attention = {"num_heads": HEADS, "kv_num_heads": KV_HEADS, "do_rotary": 1, "scale": DIM**-0.5}
    inputs = [q, k, v, *cache, "seqlens_k", "total_len", "cos", "sin"]
    a = b.node("GroupQueryAttention", inputs, [p + "a", *present], MS, **attention)
    n, x = skip_norm(b, x, projection(b, a, HEADS * DIM, HIDDEN, p + "o"), p + "middle")
    gate = projection(b, n, HIDDEN, FFN, p + "gate")
    up = projection(b, n, HIDDEN, FFN, p + "up")
    silu = b.node("Mul", [gate, b.node("Sigmoid", [gate], p + "sigmoid")], p + "silu")
    product = b.node("Mul", [silu, up], p + "product")
    return skip_norm(b, x, projection(b, product, FFN, HIDDEN, p + "down"), p + "end")


def skip_norm(b: Builder, x: str, y: str, name: str) -> tuple[str, str]:
    """The normalised sum of x and y, and the sum."""
    names = [name + ".n", "", "", name + ".x"]
    gamma = b.weight(name + ".w", HIDDEN)
    b.node("SkipSimplifiedLayerNormalization", [x, y, gamma], names, MS, epsilon=1e-5)
    return names[0], names[3]


def float_block(dtype: type) -> SmallModel:
    """What ORT fuses for this EP's name in float models: bias + Gelu, skip + LayerNorm, quick Gelu."""
    width = 64
    b = Builder(dtype)
    x = b.add_input("x", [2, "tokens", width])
    h = b.node("MatMul", [x, b.weight("w1", width, width, scale=0.1)], "h")
    biased = b.node("Add", [h, b.weight("b1", width)], "biased")
    scaled = b.node("Div", [biased, b.constant("root2", np.array(2**0.5, dtype))], "scaled")
    erf = b.node("Add", [b.node("Erf", [scaled], "erf"), b.constant("one", np.array(1, dtype))], "erf1")
    gelu = b.node(
        "Mul", [b.node("Mul", [biased, erf], "m"), b.constant("half", np.array(0.5, dtype))], "gelu"
    )
    out = b.node("MatMul", [gelu, b.weight("w2", width, width, scale=0.1)], "out")
    skip = b.node("Add", [x, b.node("Add", [out, b.weight("b2", width)], "out_b")], "skip")
    norm = [skip, b.weight("gamma", width), b.weight("beta", width)]
    n = b.node("LayerNormalization", norm, "norm", axis=-1, epsilon=1e-5)
    steep = b.node("Mul", [n, b.constant("k", np.array(1.702, dtype))], "steep")
    quick = b.node("Mul", [n, b.node("Sigmoid", [steep], "s")], "quick")
    b.node("Softmax", [b.node("Transpose", [quick], "t", perm=[0, 2, 1])], "y", axis=-1)
    b.add_output("y", [2, width, "tokens"])
    feed = np.random.default_rng(1).standard_normal((2, 7, width)).astype(dtype)
    return SmallModel(b.serialize(), {"x": feed}, 1e-4 if dtype is np.float32 else 1e-2)


def branches(dtype: type) -> SmallModel:
    """Shape arithmetic and an If whose branches run on the device."""
    b = Builder(dtype)
    x = b.add_input("x", ["rows", 16])
    flag = b.add_input("flag", [], TensorProto.BOOL)
    b.node("Shape", [x], "shape")
    b.node("Gather", ["shape", b.constant("zero", np.array(0))], "rows", axis=0)
    b.node("Unsqueeze", ["rows", b.constant("axis0", np.array([0]))], "rows1")
    b.node("Concat", ["rows1", b.constant("four", np.array([4, 4]))], "split", axis=0)
    b.node("Reshape", [x, "split"], "cube")
    b.weight("w", 4, 4)
    branch = [
        helper.make_graph(
            [helper.make_node(op, ["cube", "w"], [name], name=name)],
            name + "_graph",
            [],
            [helper.make_tensor_value_info(name, b.type, None)],
        )
        for op, name in (("MatMul", "then_y"), ("Sub", "else_y"))
    ]
    b.node("If", [flag], "chosen", then_branch=branch[0], else_branch=branch[1])
    b.node("Slice", ["chosen", b.constant("start", np.array([1])), b.constant("end", np.array([9]))], "y")
    b.add_output("y", [None, 4, 4])
    feed = np.random.default_rng(1).standard_normal((6, 16)).astype(dtype)
    return SmallModel(
        b.serialize(), {"x": feed, "flag": np.array(True)}, 1e-5 if dtype is np.float32 else 1e-2
    )
