"""A decoder in numpy, written from the meaning of GGUF's tensors and metadata: the oracle of the converter.

It reads the file's own tensors (rotary pairs as the architecture stores them) and computes in f64.
"""

from __future__ import annotations

import gguf
import numpy as np

from .gguf_files import Model, metadata_of, tensors_of

INTERLEAVED = {"llama"}  # rotary pairs are neighbours; elsewhere they are half a head apart


class Reference:
    def __init__(self, model: Model) -> None:
        self.model, self.s, self.meta = model, model.shape, metadata_of(model)
        self.w = {
            name: np.asarray(gguf.dequantize(data, kind), np.float64)
            for name, (data, kind) in tensors_of(model).items()
        }

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Logits [s, vocabulary] of one sequence of tokens [s]."""
        gemma = self.model.arch.startswith("gemma")
        x = self.w["token_embd.weight"][ids]
        if gemma:
            x = x * self.s.hidden**0.5
        for layer in range(self.s.layers):
            blk = f"blk.{layer}."
            y = self.attention(layer, self.norm(x, blk + "attn_norm"))
            x = x + (self.norm(y, blk + "post_attention_norm") if gemma else y)
            y = self.feed_forward(blk, self.norm(x, blk + "ffn_norm"))
            x = x + (self.norm(y, blk + "post_ffw_norm") if gemma else y)
        head = self.w.get("output.weight", self.w["token_embd.weight"])
        logits = self.norm(x, "output_norm") @ head.T
        cap = self.meta.get("final_logit_softcapping")
        return np.tanh(logits / cap) * cap if cap else logits

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        epsilon = self.meta["attention.layer_norm_rms_epsilon"]
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * self.w[name + ".weight"]

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[name + ".weight"].T + self.w.get(name + ".bias", 0.0)

    def feed_forward(self, blk: str, x: np.ndarray) -> np.ndarray:
        if self.model.arch == "phi3":
            gate, up = np.split(self.linear(x, blk + "ffn_up"), 2, axis=-1)
        else:
            gate, up = self.linear(x, blk + "ffn_gate"), self.linear(x, blk + "ffn_up")
        if self.model.arch.startswith("gemma"):
            act = 0.5 * gate * (1 + np.tanh((2 / np.pi) ** 0.5 * (gate + 0.044715 * gate**3)))
        else:
            act = gate / (1 + np.exp(-gate))
        return self.linear(act * up, blk + "ffn_down")

    def is_local(self, layer: int) -> bool:
        """Gemma alternates: every second (2) or sixth (3) layer is global; elsewhere a window holds for all."""
        period = {"gemma2": 2, "gemma3": 6}.get(self.model.arch, 0)
        return "attention.sliding_window" in self.meta and not (period and layer % period == period - 1)

    def attention(self, layer: int, x: np.ndarray) -> np.ndarray:
        s, blk = self.s, f"blk.{layer}."
        if self.model.arch == "phi3":
            cuts = [s.heads * s.head, (s.heads + s.kv_heads) * s.head]
            q, k, v = np.split(self.linear(x, blk + "attn_qkv"), cuts, axis=-1)
        else:
            q, k, v = (self.linear(x, f"{blk}attn_{n}") for n in "qkv")
        q, k, v = (t.reshape(len(x), -1, s.head).swapaxes(0, 1) for t in (q, k, v))
        if blk + "attn_q_norm.weight" in self.w:
            q, k = self.norm(q, blk + "attn_q_norm"), self.norm(k, blk + "attn_k_norm")
        local = self.is_local(layer)
        q, k = self.rotate(q, local), self.rotate(k, local)
        k, v = (np.repeat(t, s.heads // s.kv_heads, axis=0) for t in (k, v))
        scores = q @ k.swapaxes(1, 2) * s.head**-0.5
        cap = self.meta.get("attn_logit_softcapping")
        if cap:
            scores = np.tanh(scores / cap) * cap
        distance = np.arange(len(x))[:, None] - np.arange(len(x))
        hidden = distance < 0
        if local:
            hidden |= distance >= self.meta["attention.sliding_window"]
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        y = weights / weights.sum(-1, keepdims=True) @ v
        return self.linear(y.swapaxes(0, 1).reshape(len(x), -1), blk + "attn_output")

    def rotate(self, x: np.ndarray, local: bool) -> np.ndarray:
        """Rotary embedding of [heads, s, head]."""
        dims = self.meta["rope.dimension_count"]
        base = 10000.0 if local and self.model.arch == "gemma3" else self.meta["rope.freq_base"]
        frequency = base ** (-np.arange(0, dims, 2) / dims)
        if self.meta.get("rope.scaling.type") == "linear" and not (local and self.model.arch == "gemma3"):
            frequency = frequency / self.meta["rope.scaling.factor"]
        frequency = frequency / self.w.get("rope_freqs.weight", 1.0)
        angle = np.arange(x.shape[1])[:, None] * frequency
        neighbours = self.model.arch in INTERLEAVED
        first = slice(0, dims, 2) if neighbours else slice(0, dims // 2)
        second = slice(1, dims, 2) if neighbours else slice(dims // 2, dims)
        a, b, y = x[..., first], x[..., second], x.copy()
        y[..., first] = a * np.cos(angle) - b * np.sin(angle)
        y[..., second] = b * np.cos(angle) + a * np.sin(angle)
        return y
