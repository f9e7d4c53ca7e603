"""Writes genai_config.json, through which onnxruntime-genai finds the model's parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .architecture import Decoder
from .tokenizer import Vocabulary

MODEL_FILE = "model.onnx"


def write_genai_config(decoder: Decoder, vocabulary: Vocabulary, folder: Path) -> None:
    """Names, sizes and default search options; providers are left to the program that loads the model."""
    model: dict[str, Any] = {
        "type": decoder.family.genai_type,
        "bos_token_id": vocabulary.eos[0] if vocabulary.bos is None else vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "pad_token_id": vocabulary.pad,
        "vocab_size": decoder.vocab,
        "context_length": decoder.context,
        "decoder": {
            "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
            "filename": MODEL_FILE,
            "head_size": decoder.head,
            "hidden_size": decoder.hidden,
            "num_attention_heads": decoder.heads,
            "num_key_value_heads": decoder.kv_heads,
            "num_hidden_layers": decoder.layers,
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": "present.%d.key",
                "present_value_names": "present.%d.value",
            },
        },
    }
    search = {
        "do_sample": False,
        "early_stopping": True,
        "max_length": decoder.context,
        "min_length": 0,
        "num_beams": 1,
        "num_return_sequences": 1,
        "past_present_share_buffer": True,
        "repetition_penalty": 1.0,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 1.0,
    }
    text = json.dumps({"model": model, "search": search}, indent=2)
    (folder / "genai_config.json").write_text(text + "\n", encoding="utf-8")
