"""Builds the decoder: embedding, layers and head in the layout that onnxruntime-genai drives.

Inputs: input_ids [batch, sequence], attention_mask [batch, total] (both int64, right-padded) and
past_key_values.N.{key,value} [batch, kv heads, past, head]. Outputs: logits f32 [batch, 1 or sequence,
vocabulary] and present.N.{key,value} [batch, kv heads, total, head].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from . import quant
from .architecture import Decoder, Rope
from .errors import ConversionError
from .graph import MS, Graph
from .quant import Blocks, Plain, Weight
from .report import Report, relative_error
from .source import GgufSource


@dataclass(frozen=True)
class Options:
    """Choices of the user that shape the graph."""

    all_logits: bool = False
    packed_qkv: bool = True


class DecoderBuilder:
    """Reads weights from the source and emits the graph, layer by layer."""

    def __init__(
        self,
        source: GgufSource,
        decoder: Decoder,
        graph: Graph,
        options: Options,
        report: Report,
        progress: Callable[[str], None],
    ) -> None:
        self.s, self.d, self.g, self.o = source, decoder, graph, options
        self.report = report
        self.progress = progress

    def build(self) -> None:
        g, d = self.g, self.d
        self.ids = g.input("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
        self._lengths(g.input("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]))
        self.caches = [self._rope_cache(d.rope, "cos_cache", "sin_cache")]
        if d.local_rope is not d.rope:
            self.caches.append(self._rope_cache(d.local_rope, "cos_cache_local", "sin_cache_local"))
        tied = not self.s.has("output.weight")
        table = self._embedding_table("token_embd.weight")
        x = g.embed(self.ids, table, "model.embed_tokens")
        if d.family.scaled_embedding:
            x = g.node("Mul", "/model/embed_tokens/Mul", [x, g.number("embedding_scale", d.hidden**0.5)])
        # The head writes its outputs first, so that `logits` leads the list that programs see.
        logit_rows: int | str = "sequence_length" if self.o.all_logits else 1
        g.output("logits", TensorProto.FLOAT, ["batch_size", logit_rows, d.vocab])
        normed = g.norm(x, self._norm("blk.0.attn_norm"), "/model/layers.0/input_layernorm", d.epsilon)
        for layer in range(d.layers):
            normed, x = self._layer(layer, normed, x)
        self._head(normed, table if tied else self._weight("output.weight", d.vocab, d.hidden), tied)

    def _lengths(self, mask: str) -> None:
        """seqlens_k = valid tokens - 1 [b, 1] and the total length, both int32, from the attention mask."""
        g = self.g
        self.valid = g.node("ReduceSum", "/model/mask/ReduceSum", [mask, g.ints([1])], keepdims=1)
        self.last = g.node("Sub", "/model/mask/Sub", [self.valid, g.ints([1])])
        self.seqlens = g.node("Cast", "/model/mask/seqlens_k", [self.last], to=TensorProto.INT32)
        shape = g.node("Shape", "/model/mask/Shape", [mask])
        total = g.node("Gather", "/model/mask/Gather", [shape, g.ints(1)], axis=0)
        self.total = g.node("Cast", "/model/mask/total_length", [total], to=TensorProto.INT32)

    def _rope_cache(self, rope: Rope, cos: str, sin: str) -> list[str]:
        angles = np.arange(self.d.context, dtype=np.float64)[:, None] * rope.frequencies
        return [
            self.g.floats(cos, np.cos(angles) * rope.magnitude),
            self.g.floats(sin, np.sin(angles) * rope.magnitude),
        ]

    def _layer(self, layer: int, normed: str, x: str) -> tuple[str, str]:
        """One decoder layer; returns the norm that the next one reads, and the residual."""
        g, d, base = self.g, self.d, f"/model/layers.{layer}"
        y = self._attention(layer, normed)
        if d.family.post_norms:
            weight = self._norm(f"blk.{layer}.post_attention_norm")
            y = g.norm(y, weight, f"{base}/post_attention_layernorm", d.epsilon)
        weight = self._norm(f"blk.{layer}.ffn_norm")
        name = "pre_feedforward_layernorm" if d.family.post_norms else "post_attention_layernorm"
        normed, x = g.skip_norm(x, y, weight, f"{base}/{name}", d.epsilon)
        y = self._feed_forward(layer, normed)
        if d.family.post_norms:
            weight = self._norm(f"blk.{layer}.post_ffw_norm")
            y = g.norm(y, weight, f"{base}/post_feedforward_layernorm", d.epsilon)
        if layer + 1 < d.layers:
            weight, name = (
                self._norm(f"blk.{layer + 1}.attn_norm"),
                f"/model/layers.{layer + 1}/input_layernorm",
            )
        else:
            weight, name = self._norm("output_norm"), f"/model/layers.{d.layers}/final_norm"
        return g.skip_norm(x, y, weight, name, d.epsilon)

    def _attention(self, layer: int, x: str) -> str:
        g, d, base = self.g, self.d, f"/model/layers.{layer}/attn"
        weights, biases = self._qkv(layer)
        packed = None
        if self.o.packed_qkv and not d.family.qk_norm:
            packed = quant.stack(weights)
        if packed is not None:
            bias = None if biases[0] is None else np.concatenate([b for b in biases if b is not None])
            qkv = [g.linear(x, packed, f"{base}/qkv_proj", bias), "", ""]
        else:
            names = [f"{base}/{n}_proj" for n in "qkv"]
            qkv = [g.linear(x, w, n, b) for w, n, b in zip(weights, names, biases, strict=True)]
        if d.family.qk_norm:
            for i, (n, heads) in enumerate((("q", d.heads), ("k", d.kv_heads))):
                weight = self._norm(f"blk.{layer}.attn_{n}_norm", d.head)
                qkv[i] = self._head_norm(qkv[i], weight, heads, f"{base}/{n}_norm")
        window = d.windows[layer]
        cache = [self._past(layer, "key"), self._past(layer, "value")]
        outputs = [
            f"{base}/GroupQueryAttention/output_0",
            self._present(layer, "key"),
            self._present(layer, "value"),
        ]
        y = g.node(
            "GroupQueryAttention",
            f"{base}/GroupQueryAttention",
            [*qkv, *cache, self.seqlens, self.total, *self.caches[-1 if window > 0 else 0]],
            outputs,
            MS,
            num_heads=d.heads,
            kv_num_heads=d.kv_heads,
            do_rotary=1,
            rotary_interleaved=0,
            scale=d.scale,
            softcap=d.attention_softcap,
            local_window_size=window,
        )
        w_out = self._weight(f"blk.{layer}.attn_output.weight", d.hidden, d.heads * d.head)
        return g.linear(y, w_out, f"{base}/o_proj", self._bias(f"blk.{layer}.attn_output.bias", d.hidden))

    def _head_norm(self, x: str, weight: np.ndarray, heads: int, name: str) -> str:
        """RMS norm of each head: [b, s, heads*head] seen as [b, s*heads, head]."""
        g, d = self.g, self.d
        split = g.node("Reshape", f"{name}/Reshape_1", [x, g.ints([0, -1, d.head])])
        normed = g.norm(split, weight, name, d.epsilon)
        return g.node("Reshape", f"{name}/Reshape_2", [normed, g.ints([0, -1, heads * d.head])])

    def _qkv(self, layer: int) -> tuple[list[Weight], list[np.ndarray | None]]:
        """The weights and biases of Q, K and V, rows in the order of rotary halves."""
        d, blk = self.d, f"blk.{layer}"
        rows = [d.heads * d.head, d.kv_heads * d.head, d.kv_heads * d.head]
        if d.family.fused_qkv and self.s.has(f"{blk}.attn_qkv.weight"):
            fused = self._weight(f"{blk}.attn_qkv.weight", sum(rows), d.hidden)
            bias = self._bias(f"{blk}.attn_qkv.bias", sum(rows))
            cuts = np.cumsum([0, *rows])
            parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]
            return [fused.rows(p) for p in parts], [None if bias is None else bias[p] for p in parts]
        weights: list[Weight] = []
        biases: list[np.ndarray | None] = []
        for name, n in zip("qkv", rows, strict=True):
            weight: Weight = self._weight(f"{blk}.attn_{name}.weight", n, d.hidden)
            bias = self._bias(f"{blk}.attn_{name}.bias", n)
            if d.family.interleaved_rope and name != "v":
                order = rotary_halves(n // d.head, d.head, 2 * len(d.rope.frequencies))
                weight, bias = weight.rows(order), None if bias is None else bias[order]
            weights.append(weight)
            biases.append(bias)
        if len({b is None for b in biases}) > 1:
            raise ConversionError(
                f"only some of Q, K and V of layer {layer} have a bias, which is not supported"
            )
        return weights, biases

    def _feed_forward(self, layer: int, x: str) -> str:
        g, d, blk, base = self.g, self.d, f"blk.{layer}", f"/model/layers.{layer}/mlp"
        if d.family.fused_gate_up:
            both = self._weight(f"{blk}.ffn_up.weight", 2 * d.ffn, d.hidden)
            w_gate, w_up = both.rows(slice(0, d.ffn)), both.rows(slice(d.ffn, None))
        else:
            w_gate = self._weight(f"{blk}.ffn_gate.weight", d.ffn, d.hidden)
            w_up = self._weight(f"{blk}.ffn_up.weight", d.ffn, d.hidden)
        gate = g.linear(x, w_gate, f"{base}/gate_proj")
        up = g.linear(x, w_up, f"{base}/up_proj")
        if d.family.activation == "silu":
            sigmoid = g.node("Sigmoid", f"{base}/act_fn/Sigmoid", [gate])
            act = g.node("Mul", f"{base}/act_fn/Mul", [gate, sigmoid])
        else:
            act = g.node("FastGelu", f"{base}/act_fn/FastGelu", [gate], domain=MS)
        product = g.node("Mul", f"{base}/Mul", [act, up])
        return g.linear(product, self._weight(f"{blk}.ffn_down.weight", d.hidden, d.ffn), f"{base}/down_proj")

    def _last_position(self, x: str) -> str:
        """The last valid position of each row: [b, s, hidden] -> [b, 1, hidden].

        A row that has fewer valid tokens than the longest one ends that much earlier, so its index counted from
        the end is valid - max(valid) - 1, but not below -s (rows of one new token after an uneven prompt). This
        also holds where the mask has the length of the whole cache. Nothing here comes from a shape, so that all
        of it can run on the device: -s is the sum of a row of min(token, -1).
        """
        g, base = self.g, "/model/last_position"
        peak = g.node("ReduceMax", f"{base}/ReduceMax", [self.valid], keepdims=1)
        index = g.node("Sub", f"{base}/Sub", [self.last, peak])
        ones = g.node("Min", f"{base}/Min", [self.ids, g.ints([-1])])
        least = g.node("ReduceSum", f"{base}/ReduceSum", [ones, g.ints([1])], keepdims=1)
        index = g.node("Max", f"{base}/Max", [index, least])
        row = g.node("GatherND", f"{base}/GatherND", [x, index], batch_dims=1)
        return g.node("Unsqueeze", f"{base}/Unsqueeze", [row, g.ints([1])])

    def _head(self, x: str, weight: Weight, tied: bool) -> None:
        g, d = self.g, self.d
        if not self.o.all_logits:
            x = self._last_position(x)
        target = "logits" if not d.logit_softcap else "/lm_head/logits"
        if isinstance(weight, Blocks):
            # f32 from here on: f16 logits of neighbouring tokens often tie.
            x = self._cast(x, "/lm_head/Cast")
            data = "model.embed_tokens.weight" if tied else None
            y = g.matmul_nbits(x, weight, "/lm_head", np.float32, outputs=[target], data=data)
        else:
            y = self._plain_head(x, weight, tied, target)
        if d.logit_softcap:
            cap = g.store.add("logit_softcap", np.array(d.logit_softcap, np.float32))
            y = g.node("Div", "/lm_head/softcap/Div", [y, cap])
            y = g.node("Tanh", "/lm_head/softcap/Tanh", [y])
            g.node("Mul", "/lm_head/softcap/Mul", [y, cap], ["logits"])

    def _plain_head(self, x: str, weight: Plain, tied: bool, target: str) -> str:
        """A head of floating-point weights [vocabulary, hidden], read as they are by Gemm with transB."""
        g, d = self.g, self.d
        table = "model.embed_tokens.weight" if tied else g.floats("/lm_head/Gemm.weight", weight.values)
        flat = g.node("Reshape", "/lm_head/Reshape", [x, g.ints([-1, d.hidden])])
        y = g.node("Gemm", "/lm_head/Gemm", [flat, table], transB=1)
        y = self._cast(y, "/lm_head/Cast")
        shape = g.node("Shape", "/lm_head/Shape", [x], end=2)
        shape = g.node("Concat", "/lm_head/Concat", [shape, g.ints([d.vocab])], axis=0)
        return g.node("Reshape", "/lm_head/Reshape_logits", [y, shape], [target])

    def _cast(self, x: str, name: str) -> str:
        if self.g.element == TensorProto.FLOAT:
            return x
        return self.g.node("Cast", name, [x], to=TensorProto.FLOAT)

    def _past(self, layer: int, kind: str) -> str:
        shape: list[int | str] = ["batch_size", self.d.kv_heads, "past_sequence_length", self.d.head]
        return self.g.input(f"past_key_values.{layer}.{kind}", self.g.element, shape)

    def _present(self, layer: int, kind: str) -> str:
        shape: list[int | str] = ["batch_size", self.d.kv_heads, "total_sequence_length", self.d.head]
        return self.g.output(f"present.{layer}.{kind}", self.g.element, shape)

    def _norm(self, name: str, size: int | None = None) -> np.ndarray:
        values = self.s.floats(f"{name}.weight")
        if values.shape != (size or self.d.hidden,):
            raise ConversionError(
                f"tensor '{name}.weight' has the shape {values.shape}, not ({size or self.d.hidden},)"
            )
        return values

    def _bias(self, name: str, size: int) -> np.ndarray | None:
        if not self.s.has(name):
            return None
        values = self.s.floats(name)
        if values.shape != (size,):
            raise ConversionError(f"tensor '{name}' has the shape {values.shape}, not ({size},)")
        return values

    def _weight(self, name: str, rows: int, columns: int) -> Weight:
        """A matrix as the model stores it, recorded in the report."""
        if self.s.shape(name) != (rows, columns):
            raise ConversionError(
                f"tensor '{name}' has the shape {self.s.shape(name)}, not ({rows}, {columns})"
            )
        return self._keep(name, *quant.load(self.s.tensor(name)))

    def _embedding_table(self, name: str) -> Weight:
        """The embedding; GatherBlockQuantized takes no fractional zero points, so those become 8 bits."""
        if self.s.shape(name) != (self.d.vocab, self.d.hidden):
            raise ConversionError(
                f"tensor '{name}' has the shape {self.s.shape(name)}, which does not fit the model"
            )
        truth, stored = quant.load(self.s.tensor(name))
        if isinstance(stored, Blocks) and stored.zeros is not None:
            stored = quant.quantize8(stored.dequantize())
        return self._keep(name, truth, stored)

    def _keep(self, name: str, truth: Weight, stored: Weight) -> Weight:
        """`stored` in the type of the activations; what that and re-quantisation changed goes to the report."""
        kept = stored.rounded(self.g.dtype) if isinstance(stored, Blocks) else self._cast_weight(stored, name)
        kind = self.s.tensor(name).tensor_type.name
        self.report.record(kind, relative_error(truth, kept), requantised=stored is not truth)
        self.progress(name)
        return kept

    def _cast_weight(self, weight: Plain, name: str) -> Plain:
        with np.errstate(over="ignore"):
            cast = weight.values.astype(self.g.dtype)
        if not np.isfinite(cast).all():
            raise ConversionError(f"tensor '{name}' exceeds the range of f16; use --dtype f32")
        return Plain(cast)


def rotary_halves(heads: int, head: int, rotated: int) -> np.ndarray:
    """Row order that turns (even, odd) rotary pairs of each head into (first half, second half)."""
    pairs = np.arange(rotated)
    order = np.concatenate([pairs[0::2], pairs[1::2], np.arange(rotated, head)])
    return (np.arange(heads)[:, None] * head + order).ravel()
