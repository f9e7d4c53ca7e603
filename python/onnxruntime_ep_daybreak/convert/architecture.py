"""Hyperparameters of a decoder from GGUF metadata, and what sets the supported architectures apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ConversionError
from .source import GgufSource


@dataclass(frozen=True)
class Family:
    """What a GGUF architecture name implies that its metadata does not say."""

    genai_type: str  # model type in genai_config.json
    interleaved_rope: bool = False  # Q and K rows are stored as (even, odd) pairs, to be put back in halves
    activation: str = "silu"
    fused_qkv: bool = False  # attn_qkv instead of attn_q, attn_k, attn_v
    fused_gate_up: bool = False  # ffn_up holds gate and up
    qk_norm: bool = False
    post_norms: bool = False  # norms after attention and after the feed-forward network
    scaled_embedding: bool = False
    window_period: int = 0  # every n-th layer attends globally, the others within the window; 0: no such rule


FAMILIES = {
    "llama": Family("llama", interleaved_rope=True),
    "mistral": Family("mistral", interleaved_rope=True),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3", qk_norm=True),
    "phi3": Family("phi3", fused_qkv=True, fused_gate_up=True),
    "gemma2": Family("gemma2", activation="gelu", post_norms=True, scaled_embedding=True, window_period=2),
    "gemma3": Family(
        "gemma3_text",
        activation="gelu",
        post_norms=True,
        scaled_embedding=True,
        window_period=6,
        qk_norm=True,
    ),
}


@dataclass(frozen=True)
class Rope:
    """Rotary embedding: angle(position, i) = position * frequency[i], cos and sin times `magnitude`."""

    frequencies: np.ndarray  # f64 [rotated dimensions / 2]
    magnitude: float = 1.0


@dataclass(frozen=True)
class Decoder:
    """Everything that the graph builder needs to know besides the weights."""

    architecture: str
    family: Family
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head: int
    vocab: int
    context: int
    epsilon: float
    rope: Rope
    local_rope: Rope  # of layers with a window; the same as `rope` for most
    windows: tuple[int, ...]  # per layer; -1 is global
    scale: float
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0


def read_decoder(source: GgufSource, context: int | None = None) -> Decoder:
    """Reads and checks the hyperparameters; `context` shortens the model's context length."""
    name = source.architecture
    family = FAMILIES.get(name)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise ConversionError(f"the architecture '{name}' is not supported; supported are {known}")
    _refuse_unsupported(source)
    hidden, heads = _positive(source, "embedding_length"), _positive(source, "attention.head_count")
    kv_heads = _positive(source, "attention.head_count_kv", heads)
    head = _positive(source, "attention.key_length", hidden // heads)
    if _positive(source, "attention.value_length", head) != head:
        raise ConversionError(
            "attention heads whose values are longer or shorter than their keys are not supported"
        )
    if heads % kv_heads:
        raise ConversionError(f"{heads} attention heads cannot share {kv_heads} key-value heads evenly")
    layers = _positive(source, "block_count")
    limit = _positive(source, "context_length")
    rope = _rope(source, _number(source, "rope.freq_base", 10000.0), head, scaled=True)
    local = _rope(source, 10000.0, head, scaled=False) if name == "gemma3" else rope
    if source.has("rope_factors_short.weight"):
        limit = min(limit, _positive(source, "rope.scaling.original_context_length", limit))
    if context is not None and not 0 < context <= limit:
        raise ConversionError(f"the context has to be between 1 and {limit} tokens; {context} was asked for")
    return Decoder(
        architecture=name,
        family=family,
        layers=layers,
        hidden=hidden,
        ffn=_positive(source, "feed_forward_length"),
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        vocab=source.shape("token_embd.weight")[0],
        context=context or limit,
        epsilon=_number(source, "attention.layer_norm_rms_epsilon"),
        rope=rope,
        local_rope=local,
        windows=_windows(source, family, layers, limit),
        scale=_attention_scale(source, hidden, heads, head, layers),
        attention_softcap=_number(source, "attn_logit_softcapping", 0.0),
        logit_softcap=_number(source, "final_logit_softcapping", 0.0),
    )


def _refuse_unsupported(source: GgufSource) -> None:
    if int(source.arch("expert_count", 0) or 0) > 0:
        raise ConversionError(
            f"mixture-of-experts models ({source.architecture} with experts) are not supported"
        )
    for key in ("attention.kv_lora_rank", "attention.alibi_bias_max", "attention.clamp_kqv", "logit_scale"):
        if source.arch(key):
            raise ConversionError(f"the metadata '{source.architecture}.{key}' is not supported")
    if source.arch("use_parallel_residual", False):
        raise ConversionError("parallel residual connections are not supported")


def _rope(source: GgufSource, base: float, head: int, *, scaled: bool) -> Rope:
    """Inverse frequencies base^(-2i/d), divided by the linear factor and by the file's own factors."""
    dims = _positive(source, "rope.dimension_count", head)
    if dims > head or dims % 2:
        raise ConversionError(f"rotary embedding over {dims} of {head} dimensions is not supported")
    frequencies = np.float64(base) ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
    if not scaled:
        return Rope(frequencies)
    kind = source.arch("rope.scaling.type", "none")
    factor = _number(source, "rope.scaling.factor", _number(source, "rope.scale_linear", 1.0))
    if kind == "linear" or (kind == "none" and source.arch("rope.scale_linear")):
        frequencies = frequencies / factor
    elif kind not in ("none", "llama3", "longrope"):
        raise ConversionError(
            f"rotary scaling of the kind '{kind}' is not supported; none, linear and llama3 are"
        )
    magnitude = 1.0
    for name in ("rope_freqs.weight", "rope_factors_short.weight"):
        if source.has(name):
            frequencies = frequencies / _factors(source, name, dims // 2)
    if source.has("rope_factors_long.weight"):
        source.tensor("rope_factors_long.weight")
        magnitude = _number(source, "rope.scaling.attn_factor", 1.0)
    elif kind == "longrope":
        raise ConversionError(
            "rotary scaling of the kind 'longrope' needs the tensor 'rope_factors_short.weight'"
        )
    return Rope(frequencies, magnitude)


def _factors(source: GgufSource, name: str, count: int) -> np.ndarray:
    factors = source.floats(name).astype(np.float64)
    if factors.shape != (count,) or (factors <= 0).any():
        raise ConversionError(f"tensor '{name}' does not hold {count} positive factors")
    return factors


def _windows(source: GgufSource, family: Family, layers: int, context: int) -> tuple[int, ...]:
    window = int(source.arch("attention.sliding_window", 0) or 0)
    if window <= 0:
        return (-1,) * layers
    period = family.window_period
    pattern = source.arch("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        if len(pattern) != layers:
            raise ConversionError(
                f"the sliding window pattern has {len(pattern)} entries for {layers} layers"
            )
        return tuple(window if local else -1 for local in pattern)
    if isinstance(pattern, int) and pattern > 0:
        period = pattern
    if period == 0 and window >= context:
        return (-1,) * layers
    return tuple(-1 if period and i % period == period - 1 else window for i in range(layers))


def _attention_scale(source: GgufSource, hidden: int, heads: int, head: int, layers: int) -> float:
    """1/sqrt(head length), or the metadata's own; the largest Gemma of each generation divides by
    hidden/heads.
    """
    explicit = _number(source, "attention.scale", 0.0)
    if explicit:
        return explicit
    largest = {"gemma2": 46, "gemma3": 62}
    if largest.get(source.architecture) == layers:
        return float((hidden / heads) ** -0.5)
    return float(head**-0.5)


def _positive(source: GgufSource, key: str, default: int | None = None) -> int:
    value: Any = source.arch(key, default)
    if isinstance(value, list):
        if len(set(value)) != 1:
            raise ConversionError(
                f"'{source.architecture}.{key}' differs between layers, which is not supported"
            )
        value = value[0]
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ConversionError(
            f"metadata '{source.architecture}.{key}' is {value!r}; a positive integer is needed"
        )
    return value


def _number(source: GgufSource, key: str, default: float | None = None) -> float:
    value: Any = source.arch(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ConversionError(f"metadata '{source.architecture}.{key}' is {value!r}; a number is needed")
    return float(value)
