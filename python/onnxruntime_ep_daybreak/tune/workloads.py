"""What is run while tuning: an ONNX model, the decoder of a model folder, or layers of known models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ..decoder import Decoder
from ..errors import DaybreakError
from .layer import IDS, SIZES, layer


@dataclass(frozen=True)
class Phase:
    """One call of Run; it returns outputs and may be repeated, each time with the same result."""

    name: str
    call: Callable[[ort.RunOptions], list[np.ndarray | ort.OrtValue]]


@dataclass(frozen=True)
class Workload:
    """A model, and the runs of its session whose problems are tuned."""

    name: str
    model: Path | bytes
    phases: Callable[[ort.InferenceSession], list[Phase]]


def of_model(model: Path, feeds: Callable[[ort.InferenceSession], Mapping[str, np.ndarray]]) -> Workload:
    """A run of an ONNX model."""

    def phases(session: ort.InferenceSession) -> list[Phase]:
        values = dict(feeds(session))
        return [Phase("run", lambda options: session.run(None, values, options))]

    return Workload(model.name, model, phases)


def of_folder(folder: Path, contexts: Sequence[int]) -> Workload:
    """The decoder of a model folder: for each context a prompt that fills it, and the token at its end."""
    config_file = folder / "genai_config.json"
    if not config_file.is_file():
        raise DaybreakError(f"{folder} is not a model folder: it has no genai_config.json")
    config = json.loads(config_file.read_text(encoding="utf-8"))["model"]
    fitting = [c for c in contexts if c <= int(config["context_length"])]
    if not fitting:
        raise DaybreakError(f"the context of the model holds {config['context_length']} tokens")
    return _decoder(folder.name, folder / config["decoder"]["filename"], int(config["vocab_size"]), fitting)


def known(software: bool, f16: bool, contexts: Sequence[int]) -> list[Workload]:
    """Layers of known models; of the smallest one for a software device."""
    dtype: type = np.float16 if f16 and not software else np.float32
    sizes = SIZES[:1] if software else SIZES
    return [_decoder(s.name, layer(s, dtype, max(contexts)), IDS, contexts) for s in sizes]


def _decoder(name: str, model: Path | bytes, vocabulary: int, contexts: Sequence[int]) -> Workload:
    def phases(session: ort.InferenceSession) -> list[Phase]:
        found = []
        for context in contexts:
            decoder = Decoder(session, vocabulary, context)
            found += [
                Phase(f"prefill {context}", lambda o, d=decoder: d.prefill(d.capacity, o)),  # type: ignore[misc]
                Phase(f"decode at {context}", lambda o, d=decoder: d.decode(d.capacity - 1, o)),  # type: ignore[misc]
            ]
        return found

    return Workload(name, model, phases)
