"""A small model of each architecture and quantisation that the converter reads, and how to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from gguf import GGMLQuantizationType as Q
from onnxruntime_ep_daybreak.convert import convert

from . import gguf_files
from .gguf_files import Model, Shape

LLAMA3_FACTORS = np.linspace(1, 8, 32).astype(np.float32)
ARCHITECTURES = {
    "llama": Model("llama", output=Q.F32),
    "llama, tied": Model("llama"),
    "llama, rotary factors": Model("llama", extra={"rope_freqs.weight": LLAMA3_FACTORS}),
    "llama, linear scaling": Model("llama", meta={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama, biases": Model("llama", qkv_bias=True),
    "qwen2": Model("qwen2", qkv_bias=True),
    "qwen3": Model("qwen3"),
    "phi3": Model("phi3", output=Q.F32),
    "phi3, window": Model("phi3", output=Q.F32, meta={"attention.sliding_window": 7}),
    "phi3, partial rotary": Model("phi3", output=Q.F32, meta={"rope.dimension_count": 48}),
    "gemma2": Model(
        "gemma2",
        meta={
            "attention.sliding_window": 5,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": Model(
        "gemma3",
        Shape(layers=7),
        meta={
            "attention.sliding_window": 6,
            "rope.freq_base": 1e6,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
}
KINDS = [Q.F32, Q.F16, Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q8_0, Q.Q4_K, Q.Q6_K]


def convert_model(model: Model, folder: Path, **options: Any) -> Path:
    source = gguf_files.write(model, folder / "model.gguf")
    convert(source, folder / "out", **options)
    return folder / "out"


def empty_cache(session: ort.InferenceSession, batch: int, length: int = 0) -> dict[str, np.ndarray]:
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        arg.name: np.zeros((batch, arg.shape[1], length, arg.shape[3]), types[arg.type])
        for arg in session.get_inputs()
        if arg.name.startswith("past_key_values")
    }


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(got - want).max() / np.abs(want).max())
