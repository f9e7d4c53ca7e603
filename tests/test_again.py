"""Runs that repeat an earlier one do what it did without planning: results must follow what is new in them."""

from __future__ import annotations

import numpy as np
import onnx.parser
from helpers.run import Daybreak

MODEL = """<ir_version: 10, opset_import: ["" : 21]>
again (float[N, 64] x, int64[1] first, int64[1] last, float[64, 32] w) => (float[M, 32] y, float[K] total)
<int64[1] axis = {1}, int64[1] keep = {-1}>
{
    part = Slice(x, first, last)
    product = MatMul(part, w)
    y = Relu(product)
    sums = ReduceSum<keepdims = 0>(y, axis)
    total = Reshape(sums, keep)
}
"""


def expected(x: np.ndarray, first: int, last: int, w: np.ndarray) -> list[np.ndarray]:
    y = np.maximum(x[first:last].astype(np.float64) @ w, 0)
    return [y, y.sum(1)]


class Runs:
    def __init__(self, daybreak: Daybreak, seed: int) -> None:
        self.session = daybreak.session(onnx.parser.parse_model(MODEL).SerializeToString())
        self.rng = np.random.default_rng(seed)

    def run(self, rows: int, first: int, last: int) -> None:
        x = self.rng.standard_normal((rows, 64), np.float32)
        w = self.rng.standard_normal((64, 32), np.float32)
        bounds = {"first": np.array([first]), "last": np.array([last])}
        found = self.session.run(None, {"x": x, "w": w, **bounds})
        for got, want in zip(found, expected(x, first, last, w), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


def test_new_data_and_new_numbers_on_the_cpu(daybreak: Daybreak) -> None:
    runs = Runs(daybreak, 1)
    for i in range(24):
        first = i // 4 % 3  # the shapes stay, the slice moves
        runs.run(10, first, first + 7)


def test_new_shapes(daybreak: Daybreak) -> None:
    runs = Runs(daybreak, 2)
    for i in range(90):  # long enough to give up on repeating, and to try again
        rows = (10, 10, 12, 300, 10)[i % 5] if i < 80 else 10
        runs.run(rows, 1, rows - 2)


def test_memory_of_others_in_between(daybreak: Daybreak) -> None:
    runs = [Runs(daybreak, 3), Runs(daybreak, 4)]
    held = []
    for i in range(40):
        runs[i % 2].run(10, 1, 8)
        if i % 3 == 0:
            held.append(daybreak.upload(np.full((10, 64), i, np.float32)))
        if i % 10 == 9:
            held.clear()
            del runs[0].session
            runs[0] = Runs(daybreak, i)
