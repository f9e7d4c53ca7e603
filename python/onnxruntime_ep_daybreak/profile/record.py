"""Runs an ONNX model, or a model folder's decoder, with ONNX Runtime's profiler on."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ..decoder import Decoder
from ..errors import DaybreakError
from ..library import create_session
from .events import Profile, read

_WARM_UPS = 2


@dataclass
class Step:
    """One call of Run: what it is called in tables, how long its KV cache is, and how to do it."""

    name: str
    tokens: int
    call: Callable[[], object]


@dataclass
class Recording:
    """The measured runs, and their wall time in seconds with and without the profiler."""

    profile: Profile
    steps: list[Step]
    profiled_seconds: float
    plain_seconds: float


def record_model(
    model: Path,
    feeds: Callable[[ort.InferenceSession], Mapping[str, np.ndarray]],
    runs: int,
    device: int = 0,
    options: Mapping[str, str] | None = None,
) -> Recording:
    """Profiles an ONNX model on the inputs that `feeds` makes for its session."""

    def steps(session: ort.InferenceSession) -> list[Step]:
        values = dict(feeds(session))
        return [Step("run", 0, lambda: _discard(session.run(None, values))) for _ in range(runs)]

    return _record(model, device, options, steps)


def record_folder(
    folder: Path,
    prompt_tokens: int,
    new_tokens: int,
    device: int = 0,
    options: Mapping[str, str] | None = None,
) -> Recording:
    """Profiles the decoder of a model folder: one prompt, then token by token, with a static KV cache."""
    config_file = folder / "genai_config.json"
    if not config_file.is_file():
        raise DaybreakError(f"{folder} is not a model folder: it has no genai_config.json")
    config: dict[str, Any] = json.loads(config_file.read_text(encoding="utf-8"))["model"]
    if prompt_tokens + new_tokens > int(config["context_length"]):
        raise DaybreakError(
            f"{prompt_tokens} + {new_tokens} tokens do not fit the context of {config['context_length']}"
        )

    def steps(session: ort.InferenceSession) -> list[Step]:
        decoder = Decoder(session, int(config["vocab_size"]), prompt_tokens + new_tokens)
        prompt = Step("prefill", prompt_tokens, lambda: decoder.prefill(prompt_tokens))
        answer = [
            Step("decode", n + 1, lambda n=n: decoder.decode(n))  # type: ignore[misc]
            for n in range(prompt_tokens, prompt_tokens + new_tokens)
        ]
        return [prompt, *answer]

    return _record(folder / config["decoder"]["filename"], device, options, steps)


def _record(
    model: Path,
    device: int,
    options: Mapping[str, str] | None,
    make_steps: Callable[[ort.InferenceSession], list[Step]],
) -> Recording:
    with tempfile.TemporaryDirectory(prefix="daybreak-profile-") as folder:
        so = ort.SessionOptions()
        so.enable_profiling = True
        so.profile_file_prefix = str(Path(folder) / "profile")
        session = create_session(model, device=device, options=options, session_options=so)
        try:
            steps = make_steps(session)
            warm = [step for step in steps[:1] * _WARM_UPS + steps[1:2] * _WARM_UPS]
            _seconds(warm)
            profiled = _seconds(steps)
        finally:
            file = Path(session.end_profiling())
        profile = read(file)
    if len(profile.runs) != len(warm) + len(steps):
        raise DaybreakError(f"the profile has {len(profile.runs)} runs of {len(warm) + len(steps)}")
    profile.runs = profile.runs[len(warm) :]
    for run, step in zip(profile.runs, steps, strict=True):
        run.name = step.name
    return Recording(profile, steps, profiled, _seconds(steps))


def _seconds(steps: list[Step]) -> float:
    start = time.perf_counter()
    for step in steps:
        step.call()
    return time.perf_counter() - start


def _discard(_: object) -> None:
    """Outputs of a profiled run are of no interest."""
