"""One decoder layer with the sizes of a known model and random weights: what is tuned where no model is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..onnx_bytes import MS, element, model, node, tensor, value

IDS = 64  # rows of the embedding


@dataclass(frozen=True)
class Sizes:
    """Of a decoder; weights have 4 bits in blocks of 32."""

    name: str
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int


SIZES = [
    Sizes("SmolLM2 135M", 576, 1536, 9, 3, 64, 49152),
    Sizes("Llama 3.2 1B", 2048, 8192, 32, 8, 64, 128256),
    Sizes("Phi 4 mini", 3072, 8192, 24, 8, 128, 200064),
    Sizes("Llama 3.1 8B", 4096, 14336, 32, 8, 128, 128256),
]


@dataclass
class _Graph:
    dtype: type
    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(tensor(name, array))
        return name

    def floats(self, name: str, array: np.ndarray) -> str:
        return self.constant(name, array.astype(self.dtype))

    def node(
        self,
        op: str,
        inputs: list[str],
        outputs: str | list[str],
        domain: str = "",
        **attributes: int | float,
    ) -> str:
        names = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(node(op, inputs, names, domain, attributes))
        return names[0]

    def product(self, x: str, k: int, n: int, y: str) -> str:
        weights = self.rng.integers(0, 256, (n, k // 32, 16), dtype=np.uint8)
        scales = self.rng.uniform(0.5, 1.0, n * k // 32) * 0.2 / k**0.5
        inputs = [x, self.constant(y + ".weight", weights), self.floats(y + ".scales", scales)]
        return self.node("MatMulNBits", inputs, y, MS, K=k, N=n, bits=4, block_size=32)

    def skip_norm(self, x: str, y: str, width: int, name: str) -> tuple[str, str]:
        scale = self.floats(name + ".scale", np.ones(width))
        outputs = [name, "", "", name + ".sum"]
        self.node("SkipSimplifiedLayerNormalization", [x, y, scale], outputs, MS, epsilon=1e-5)
        return name, name + ".sum"


def layer(sizes: Sizes, dtype: type, context: int) -> bytes:
    """The model, in the layout of onnxruntime-genai, with the logits of the last token."""
    g = _Graph(dtype)
    _lengths(g)
    angles = np.arange(context)[:, None] / 10000 ** (np.arange(0, sizes.head, 2) / sizes.head)
    tables = [g.floats("cos", np.cos(angles)), g.floats("sin", np.sin(angles))]
    embedding = g.floats("embedding", g.rng.standard_normal((IDS, sizes.hidden)))
    x = g.node("Gather", [embedding, "input_ids"], "x", axis=0)
    scale = g.floats("norm.scale", np.ones(sizes.hidden))
    n = g.node("SimplifiedLayerNormalization", [x, scale], "norm", axis=-1, epsilon=1e-5, stash_type=1)
    width = sizes.heads * sizes.head
    qkv = [g.product(n, sizes.hidden, h * sizes.head, name) for name, h in _heads(sizes)]
    cache = ["past_key_values.0.key", "past_key_values.0.value"]
    g.node(
        "GroupQueryAttention",
        [*qkv, *cache, "lengths", "total", *tables],
        ["attention", "present.0.key", "present.0.value"],
        MS,
        num_heads=sizes.heads,
        kv_num_heads=sizes.kv_heads,
        do_rotary=1,
    )
    o = g.product("attention", width, sizes.hidden, "o")
    n, x = g.skip_norm(x, o, sizes.hidden, "middle")
    gate, up = (g.product(n, sizes.hidden, sizes.ffn, name) for name in ("gate", "up"))
    silu = g.node("Mul", [gate, g.node("Sigmoid", [gate], "sigmoid")], "silu")
    down = g.product(g.node("Mul", [silu, up], "act"), sizes.ffn, sizes.hidden, "down")
    n, _ = g.skip_norm(x, down, sizes.hidden, "end")
    ends = [g.constant(name, np.array([i])) for name, i in (("from", -1), ("to", 1 << 30), ("axis", 1))]
    g.product(g.node("Slice", [n, *ends], "last"), sizes.hidden, sizes.vocabulary, "logits")

    kind, ids = element(dtype), element(np.int64)
    inputs = [value("input_ids", ids, [1, "tokens"]), value("attention_mask", ids, [1, "total"])]
    inputs += [value(c, kind, [1, sizes.kv_heads, "past", sizes.head]) for c in cache]
    outputs = [
        value(f"present.0.{c}", kind, [1, sizes.kv_heads, "past", sizes.head]) for c in ("key", "value")
    ]
    outputs.append(value("logits", kind, [1, 1, sizes.vocabulary]))
    return model(sizes.name, g.nodes, inputs, outputs, g.constants)


def _heads(sizes: Sizes) -> list[tuple[str, int]]:
    return [("q", sizes.heads), ("k", sizes.kv_heads), ("v", sizes.kv_heads)]


def _lengths(g: _Graph) -> None:
    """`lengths` and `total`, as GroupQueryAttention takes them, out of attention_mask."""
    g.node("ReduceSum", ["attention_mask", g.constant("last_axis", np.array([1]))], "sum", keepdims=1)
    g.node("Sub", ["sum", g.constant("one", np.array([1]))], "last_key")
    g.node("Cast", ["last_key"], "lengths", to=element(np.int32))
    g.node("Shape", ["attention_mask"], "mask_shape")
    g.node("Gather", ["mask_shape", g.constant("columns", np.array(1))], "total64", axis=0)
    g.node("Cast", ["total64"], "total", to=element(np.int32))
