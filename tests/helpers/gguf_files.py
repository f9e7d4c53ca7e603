"""Small GGUF files with random weights, one for each architecture and quantisation that the converter reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from tokenizers.pre_tokenizers import ByteLevel

MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("o", "r"), ("Ġw", "or")]
PIECES = ["he", "ll", "hell", "hello", "▁hello", "▁w", "or", "▁wor", "ld", "▁world", "▁▁"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a model; 256 columns are the least that K-quants can hold."""

    layers: int = 2
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 2
    head: int = 64
    ffn: int = 256
    vocab: int = 320
    context: int = 128


@dataclasses.dataclass
class Model:
    """An architecture with its own metadata (without the prefix) and which tensors have which type."""

    arch: str = "llama"
    shape: Shape = dataclasses.field(default_factory=Shape)
    matrix: Q = Q.F32
    embedding: Q = Q.F32
    output: Q | None = None  # None: tied
    qkv_bias: bool = False
    sentencepiece: bool = False  # the tokenizer; BPE otherwise
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    seed: int = 0


def random_blocks(rng: np.random.Generator, rows: int, columns: int, kind: Q) -> np.ndarray:
    """Random bytes as blocks of `kind` whose f16 scales make values of about 1/sqrt(columns)."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (rows, columns // block, size), np.uint8)
    unit = columns**-0.5
    scales = {
        Q.Q4_K: [(0, unit / 400), (2, unit / 60)],
        Q.Q6_K: [(208, unit / 2000)],
        Q.Q5_K: [(0, unit / 800), (2, unit / 60)],
    }
    for at, scale in scales[kind]:
        values = (rng.uniform(0.5, 1.0, (rows, columns // block, 1)) * scale).astype(np.float16)
        raw[..., at : at + 2] = values.view(np.uint8)
    return raw.reshape(rows, -1)


def quantised(rng: np.random.Generator, rows: int, columns: int, kind: Q) -> np.ndarray:
    """A random matrix in the storage of `kind`."""
    if kind in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
        return random_blocks(rng, rows, columns, kind)
    values = (rng.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)
    return gguf.quantize(values, kind)


def tensors_of(model: Model) -> dict[str, tuple[np.ndarray, Q]]:
    """All tensors by name, as the architecture has them."""
    s, rng = model.shape, np.random.default_rng(model.seed)
    fused = model.arch == "phi3"
    gemma = model.arch.startswith("gemma")
    result: dict[str, tuple[np.ndarray, Q]] = {}

    def matrix(name: str, rows: int, columns: int, kind: Q) -> None:
        result[name + ".weight"] = (quantised(rng, rows, columns, kind), kind)

    def vector(name: str, size: int, around: float = 1.0) -> None:
        result[name] = ((around + 0.2 * rng.standard_normal(size)).astype(np.float32), Q.F32)

    matrix("token_embd", s.vocab, s.hidden, model.embedding)
    q, kv = s.heads * s.head, s.kv_heads * s.head
    for i in range(s.layers):
        blk = f"blk.{i}."
        for name, rows in (
            [("attn_qkv", q + 2 * kv)] if fused else [("attn_q", q), ("attn_k", kv), ("attn_v", kv)]
        ):
            matrix(blk + name, rows, s.hidden, model.matrix)
            if model.qkv_bias:
                vector(blk + name + ".bias", rows, 0.0)
        matrix(blk + "attn_output", s.hidden, q, model.matrix)
        if not fused:
            matrix(blk + "ffn_gate", s.ffn, s.hidden, model.matrix)
        matrix(blk + "ffn_up", s.ffn * (2 if fused else 1), s.hidden, model.matrix)
        matrix(blk + "ffn_down", s.hidden, s.ffn, model.matrix)
        for name in ["attn_norm", "ffn_norm", *(["post_attention_norm", "post_ffw_norm"] if gemma else [])]:
            vector(f"{blk}{name}.weight", s.hidden)
        if model.arch in ("qwen3", "gemma3"):
            vector(blk + "attn_q_norm.weight", s.head)
            vector(blk + "attn_k_norm.weight", s.head)
    vector("output_norm.weight", s.hidden)
    if model.output is not None:
        matrix("output", s.vocab, s.hidden, model.output)
    result.update({name: (values, Q.F32) for name, values in model.extra.items()})
    return result


def vocabulary(size: int) -> list[str]:
    """Three special tokens, the byte alphabet, the merged tokens and fillers."""
    tokens = [*SPECIALS, *sorted(ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
    return tokens + [f"<unused{i}>" for i in range(size - len(tokens))]


def metadata_of(model: Model) -> dict[str, Any]:
    s = model.shape
    return {
        "block_count": s.layers,
        "context_length": s.context,
        "embedding_length": s.hidden,
        "feed_forward_length": s.ffn,
        "attention.head_count": s.heads,
        "attention.head_count_kv": s.kv_heads,
        "attention.key_length": s.head,
        "attention.value_length": s.head,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": s.head,
        "rope.freq_base": 10000.0,
        **model.meta,
    }


def write_bpe(writer: gguf.GGUFWriter, vocab: int) -> None:
    tokens = vocabulary(vocab)
    normal, control, unused = 1, 3, 5
    types = [control if t in SPECIALS else unused if t.startswith("<unused") else normal for t in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def write_sentencepiece(writer: gguf.GGUFWriter, vocab: int) -> None:
    """Special tokens, bytes, letters and pieces with scores; a text begins with <s> and a space."""
    normal, unknown, control, unused, byte = 1, 2, 3, 5, 6
    rows = [("<unk>", unknown, 0.0), *((t, control, 0.0) for t in ("<s>", "</s>", "<|end|>"))]
    rows += [(f"<0x{i:02X}>", byte, 0.0) for i in range(256)]
    rows += [(letter, normal, -1000.0) for letter in "▁helowrd12"]
    rows += [(piece, normal, -float(i)) for i, piece in enumerate(PIECES)]
    rows += [(f"<unused{i}>", unused, -2000.0) for i in range(vocab - len(rows))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([row[0] for row in rows])
    writer.add_token_types([row[1] for row in rows])
    writer.add_token_scores([row[2] for row in rows])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def add_value(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case list():
            writer.add_array(key, value)
        case _:
            raise TypeError(f"{key}: {value!r}")


def write(model: Model, path: Path) -> Path:
    """Writes the model and returns its path."""
    writer = gguf.GGUFWriter(path, model.arch)
    for key, value in metadata_of(model).items():
        if value is not None:
            add_value(writer, f"{model.arch}.{key}", value)
    (write_sentencepiece if model.sentencepiece else write_bpe)(writer, model.shape.vocab)
    for name, (data, kind) in tensors_of(model).items():
        writer.add_tensor(name, data, raw_dtype=None if kind in (Q.F32, Q.F16) else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
