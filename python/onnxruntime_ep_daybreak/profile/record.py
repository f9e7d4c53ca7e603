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

from ..errors import DaybreakError
from ..library import create_session
from .events import Profile, read

_WARM_UPS = 2
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_MEMORY = ("gpu", 0)


@dataclass
class Step:
    """One call of Run: what it is called in tables, how long its KV cache is, and how to do it."""

    name: str
    tokens: int
    call: Callable[[], None]


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
        decoder = _Decoder(session, int(config["vocab_size"]), prompt_tokens + new_tokens)
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


class _Decoder:
    """A decoder in the layout of onnxruntime-genai with everything bound to device memory, batch 1.

    A decode step's shapes never change (the mask covers the whole cache), so that it can be captured.
    """

    def __init__(self, session: ort.InferenceSession, vocab: int, capacity: int) -> None:
        self.session, self.vocab, self.capacity = session, vocab, capacity
        self.inputs = {i.name: i for i in session.get_inputs()}
        strange = [
            n
            for n in self.inputs
            if n not in ("input_ids", "attention_mask", "position_ids") and "past" not in n
        ]
        if strange:
            raise DaybreakError(f"the decoder has the input '{strange[0]}', which is not known here")
        self.cache = {
            name: _upload(np.zeros([1, i.shape[1], capacity, i.shape[3]], _FLOATS[i.type]))
            for name, i in self.inputs.items()
            if "past" in name
        }
        self.logits = next(o for o in session.get_outputs() if o.name == "logits")
        self.step_inputs = self._tokens(1, capacity)
        self.step_binding = self._bind(self.step_inputs, 1)

    def _tokens(self, count: int, total: int) -> dict[str, ort.OrtValue]:
        rng = np.random.default_rng(0)
        values = {
            "input_ids": rng.integers(0, self.vocab, (1, count)),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(count)[None, :],
        }
        return {n: _upload(v.astype(np.int64)) for n, v in values.items() if n in self.inputs}

    def _bind(self, values: Mapping[str, ort.OrtValue], count: int) -> ort.IOBinding:
        binding = self.session.io_binding()
        for name, value in [*values.items(), *self.cache.items()]:
            binding.bind_ortvalue_input(name, value)
        for name, value in self.cache.items():
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)
        shape = [1, self.logits.shape[1] if isinstance(self.logits.shape[1], int) else count, self.vocab]
        logits = ort.OrtValue.ortvalue_from_shape_and_type(shape, _FLOATS[self.logits.type], *_MEMORY)
        binding.bind_ortvalue_output("logits", logits)
        return binding

    def prefill(self, count: int) -> None:
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", "-1")
        self._run(self._bind(self._tokens(count, count), count), options)

    def decode(self, past: int) -> None:
        mask = (np.arange(self.capacity) <= past).astype(np.int64)[None, :]
        if "attention_mask" in self.step_inputs:
            self.step_inputs["attention_mask"].update_inplace(mask)
        if "position_ids" in self.step_inputs:
            self.step_inputs["position_ids"].update_inplace(np.array([[past]], np.int64))
        self._run(self.step_binding, ort.RunOptions())

    def _run(self, binding: ort.IOBinding, options: ort.RunOptions) -> None:
        self.session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()


def _upload(values: np.ndarray) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(values, *_MEMORY)
