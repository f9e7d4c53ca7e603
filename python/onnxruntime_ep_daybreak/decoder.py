"""Runs a decoder step by step on device memory, for measuring."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from .errors import DaybreakError

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_MEMORY = ("gpu", 0)


class Decoder:
    """A decoder in the layout of onnxruntime-genai with everything bound to device memory, batch 1.

    `vocab`: of the token ids. A decode step's shapes never change (the mask covers the whole cache), so that it can be
    captured.
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
        rows, width = self.logits.shape[1:]
        shape = [1, rows if isinstance(rows, int) else count, width if isinstance(width, int) else self.vocab]
        logits = ort.OrtValue.ortvalue_from_shape_and_type(shape, _FLOATS[self.logits.type], *_MEMORY)
        binding.bind_ortvalue_output("logits", logits)
        return binding

    def prefill(self, count: int, options: ort.RunOptions | None = None) -> list[ort.OrtValue]:
        """Runs a prompt of `count` tokens outside of any capture; returns the logits."""
        options = options or ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", "-1")
        return self._run(self._bind(self._tokens(count, count), count), options)

    def decode(self, past: int, options: ort.RunOptions | None = None) -> list[ort.OrtValue]:
        """Runs a token behind `past` others; returns the logits."""
        mask = (np.arange(self.capacity) <= past).astype(np.int64)[None, :]
        if "attention_mask" in self.step_inputs:
            self.step_inputs["attention_mask"].update_inplace(mask)
        if "position_ids" in self.step_inputs:
            self.step_inputs["position_ids"].update_inplace(np.array([[past]], np.int64))
        return self._run(self.step_binding, options or ort.RunOptions())

    def _run(self, binding: ort.IOBinding, options: ort.RunOptions) -> list[ort.OrtValue]:
        self.session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
        return [binding.get_outputs()[-1]]


def _upload(values: np.ndarray) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(values, *_MEMORY)
