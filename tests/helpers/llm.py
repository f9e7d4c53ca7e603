"""A tiny decoder-only language model, in the layout that ONNX Runtime's model builder emits, with random weights.

MatMulNBits, GroupQueryAttention with rotary embedding, Skip/SimplifiedLayerNormalization. The weights depend on the
seed only, so that an f32 build is the reference of an f16 build.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"


@dataclasses.dataclass(frozen=True)
class Config:
    layers: int = 2
    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    ffn: int = 96
    vocab: int = 200
    max_len: int = 64
    bits: int = 4
    block: int = 32
    packed: bool = False  # one projection for query, key and value
    direct: bool = True  # lengths are inputs; otherwise they follow from attention_mask
    float_zero_points: bool = False


class Builder:
    def __init__(self, config: Config, dtype: type[Any], accuracy_level: int) -> None:
        self.c, self.dtype, self.accuracy_level = config, dtype, accuracy_level
        self.onnx_type = TensorProto.FLOAT16 if dtype is np.float16 else TensorProto.FLOAT
        self.rng = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def constant(self, name: str, value: Any) -> str:
        self.initialisers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def floats(self, name: str, value: np.ndarray) -> str:
        """Float weights, rounded to f16 in either build."""
        return self.constant(name, value.astype(np.float16).astype(self.dtype))

    def node(self, op: str, inputs: list[str], outputs: list[str], domain: str = "", **attrs: Any) -> str:
        self.nodes.append(
            helper.make_node(op, inputs, outputs, f"{op}_{len(self.nodes)}", domain=domain, **attrs)
        )
        return outputs[0]

    def input(self, name: str, onnx_type: int, shape: list[Any]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, onnx_type, shape))
        return name

    def output(self, name: str, shape: list[Any]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, self.onnx_type, shape))

    def matmul(self, x: str, name: str, k: int, n: int) -> str:
        c = self.c
        blocks = -(-k // c.block)
        weight = self.rng.integers(0, 256, (n, blocks, c.block * c.bits // 8)).astype(np.uint8)
        scale = self.rng.uniform(0.5, 1, n * blocks) * 1.5 / k**0.5 / 2 ** (c.bits - 1)
        inputs = [x, self.constant(name + ".weight", weight), self.floats(name + ".scale", scale)]
        if c.float_zero_points:
            zero = 2 ** (c.bits - 1) + self.rng.uniform(-0.5, 0.5, (n, blocks))
            inputs.append(self.floats(name + ".zero", zero))
        attrs = dict(K=k, N=n, bits=c.bits, block_size=c.block, accuracy_level=self.accuracy_level)
        return self.node("MatMulNBits", inputs, [name], MS, **attrs)

    def lengths(self) -> tuple[str, str]:
        """Names of seqlens_k [batch] and total_sequence_length (scalar or [1]), both int32."""
        if self.c.direct:
            self.input("seqlens_k", TensorProto.INT32, ["batch"])
            return "seqlens_k", self.input("total_len", TensorProto.INT32, [1])
        mask = self.input("attention_mask", TensorProto.INT64, ["batch", "total"])
        one = self.constant("one", np.array([1], np.int64))
        total = self.node("ReduceSum", [mask, one], ["mask_sum"], keepdims=1)
        self.node("Sub", [total, one], ["last64"])
        self.node("Cast", ["last64"], ["seqlens_k"], to=TensorProto.INT32)
        self.node("Shape", [mask], ["mask_shape"])
        self.node("Gather", ["mask_shape", self.constant("axis", np.array(1, np.int64))], ["total64"], axis=0)
        return "seqlens_k", self.node("Cast", ["total64"], ["total_len"], to=TensorProto.INT32)

    def attention(self, x: str, layer: int, lengths: tuple[str, str]) -> str:
        c, p = self.c, f"l{layer}"
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        if c.packed:
            qkv = [self.matmul(x, p + ".qkv", c.hidden, q + 2 * kv), "", ""]
        else:
            qkv = [self.matmul(x, f"{p}.{n}", c.hidden, size) for n, size in (("q", q), ("k", kv), ("v", kv))]
        cache = []
        for kind in ("key", "value"):
            past, present = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
            cache.append(self.input(past, self.onnx_type, ["batch", c.kv_heads, "past", c.head_dim]))
            self.output(present, ["batch", c.kv_heads, "present", c.head_dim])
        outputs = [p + ".attention", f"present.{layer}.key", f"present.{layer}.value"]
        attrs = dict(num_heads=c.heads, kv_num_heads=c.kv_heads, do_rotary=1, rotary_interleaved=0)
        out = self.node("GroupQueryAttention", [*qkv, *cache, *lengths, "cos", "sin"], outputs, MS, **attrs)
        return self.matmul(out, p + ".o", q, c.hidden)

    def mlp(self, x: str, layer: int) -> str:
        c, p = self.c, f"l{layer}"
        gate, up = self.matmul(x, p + ".gate", c.hidden, c.ffn), self.matmul(x, p + ".up", c.hidden, c.ffn)
        self.node("Sigmoid", [gate], [p + ".sigmoid"])
        self.node("Mul", [gate, p + ".sigmoid"], [p + ".silu"])
        return self.matmul(self.node("Mul", [p + ".silu", up], [p + ".act"]), p + ".down", c.ffn, c.hidden)

    def skip_norm(self, x: str, y: str, name: str) -> tuple[str, str]:
        """The norm of x + y, and the sum."""
        weight = self.floats(name + ".weight", self.rng.uniform(0.5, 1.5, self.c.hidden))
        outputs = [name, "", "", name + ".sum"]
        self.node("SkipSimplifiedLayerNormalization", [x, y, weight], outputs, MS, epsilon=1e-5)
        return name, name + ".sum"

    def build(self) -> bytes:
        c = self.c
        ids = self.input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        lengths = self.lengths()
        angle = np.arange(c.max_len)[:, None] / 10000 ** (np.arange(0, c.head_dim, 2) / c.head_dim)
        self.floats("cos", np.cos(angle))
        self.floats("sin", np.sin(angle))
        self.output("logits", ["batch", "sequence", c.vocab])
        embedding = self.floats("embedding", self.rng.standard_normal((c.vocab, c.hidden)))
        x = self.node("Gather", [embedding, ids], ["x0"], axis=0)
        weight = self.floats("norm0.weight", np.ones(c.hidden))
        normed = self.node("SimplifiedLayerNormalization", [x, weight], ["norm0"], axis=-1, epsilon=1e-5)
        for layer in range(c.layers):
            normed, x = self.skip_norm(x, self.attention(normed, layer, lengths), f"l{layer}.norm1")
            normed, x = self.skip_norm(x, self.mlp(normed, layer), f"l{layer}.norm2")
        head = self.matmul(normed, "head", c.hidden, c.vocab)
        self.node("Identity", [head], ["logits"])
        graph = helper.make_graph(self.nodes, "llm", self.inputs, self.outputs, self.initialisers)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
        model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
        return model


def build(config: Config, dtype: type[Any], accuracy_level: int = 0) -> bytes:
    return Builder(config, dtype, accuracy_level).build()


class Runner:
    """Feeds a model token by token. `memory` is the device of the KV cache: None for a growing cache in CPU memory."""

    def __init__(
        self,
        session: ort.InferenceSession,
        config: Config,
        dtype: type[Any],
        batch: int,
        *,
        memory: tuple[str, int, int] | None = None,
        run_options: ort.RunOptions | None = None,
    ) -> None:
        self.session, self.c, self.dtype, self.batch, self.memory = session, config, dtype, batch, memory
        self.run_options = run_options
        self.lengths = np.zeros(batch, np.int64)
        size = config.max_len if memory else 0
        empty: np.ndarray = np.zeros((batch, config.kv_heads, size, config.head_dim), dtype)
        names = [f"{layer}.{kind}" for layer in range(config.layers) for kind in ("key", "value")]
        self.cache = {name: ort.OrtValue.ortvalue_from_numpy(empty, *(memory or ())) for name in names}

    def step(self, ids: np.ndarray, new: np.ndarray | None = None) -> np.ndarray:
        """Logits [batch][sequence][vocab] of the next `ids`; row r has `new[r]` valid ones (all by default)."""
        self.lengths = self.lengths + (ids.shape[1] if new is None else new)
        total = int(self.lengths.max())
        feeds: dict[str, np.ndarray] = {"input_ids": ids.astype(np.int64)}
        if self.c.direct:
            feeds["seqlens_k"] = (self.lengths - 1).astype(np.int32)
            feeds["total_len"] = np.array([total], np.int32)
        else:
            feeds["attention_mask"] = (np.arange(total) < self.lengths[:, None]).astype(np.int64)
        binding = self.session.io_binding()
        for name, x in feeds.items():
            binding.bind_cpu_input(name, x)
        for name, value in self.cache.items():
            binding.bind_ortvalue_input("past_key_values." + name, value)
            if self.memory:
                binding.bind_ortvalue_output("present." + name, value)
            else:
                binding.bind_output("present." + name, "cpu")
        binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(binding, self.run_options)
        names = [*("present." + name for name in self.cache), "logits"]  # in the order of binding
        outputs = dict(zip(names, binding.get_outputs(), strict=True))
        if not self.memory:
            self.cache = {name: outputs["present." + name] for name in self.cache}
        logits: np.ndarray = outputs["logits"].numpy()
        return logits
