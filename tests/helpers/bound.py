"""Sessions whose inputs and outputs stay where they are, as capture wants it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from .run import Daybreak


class Bound:
    """A session with inputs and outputs at fixed places on the device."""

    def __init__(self, daybreak: Daybreak, session: ort.InferenceSession, *inputs: np.ndarray) -> None:
        self.session = session
        self.binding = session.io_binding()
        self.inputs = [daybreak.upload(x) for x in inputs]
        for info, value in zip(session.get_inputs(), self.inputs, strict=True):
            self.binding.bind_ortvalue_input(info.name, value)
        for info in session.get_outputs():
            self.binding.bind_output(info.name, *daybreak.memory[:2])
        self.outputs: list[ort.OrtValue] = []

    def fix_outputs(self, daybreak: Daybreak, like: Sequence[np.ndarray]) -> Bound:
        self.outputs = [
            ort.OrtValue.ortvalue_from_shape_and_type(list(y.shape), y.dtype, *daybreak.memory) for y in like
        ]
        for info, value in zip(self.session.get_outputs(), self.outputs, strict=True):
            self.binding.bind_ortvalue_output(info.name, value)
        return self

    def run(self, *inputs: np.ndarray, graph: int | None = None) -> list[np.ndarray]:
        for value, x in zip(self.inputs, inputs, strict=True):
            value.update_inplace(x)
        options = ort.RunOptions()
        if graph is not None:
            options.add_run_config_entry("gpu_graph_id", str(graph))
        self.session.run_with_iobinding(self.binding, options)
        return [y.numpy() for y in self.outputs]


def check_captured(
    daybreak: Daybreak, data: bytes, given: dict[str, np.ndarray], factors: Sequence[int]
) -> None:
    """Runs the model on `given` times each factor: a captured session gives what a plain one gives."""
    plain, captured = (daybreak.session(data, {"enableGraphCapture": flag}) for flag in "01")
    names = [info.name for info in captured.get_inputs()]
    bound = Bound(daybreak, captured, *(given[name] for name in names))
    bound.fix_outputs(daybreak, plain.run(None, given))
    for factor in factors:
        changed = {name: (x * factor).astype(x.dtype) for name, x in given.items()}
        for got, want in zip(
            bound.run(*(changed[name] for name in names)), plain.run(None, changed), strict=True
        ):
            np.testing.assert_array_equal(got, want)
