"""Weights of products in packed order: what is permuted in place, what is copied, and what is packed at each run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers.bound import Bound
from helpers.run import Daybreak, cpu_session, run_plain
from helpers.small_models import MS, Builder
from helpers.threads import in_threads
from onnx import TensorProto, helper

K, N = 96, 70  # two whole groups of columns and one of six
WIDE = 80_000  # columns of a weight that is permuted in several steps
IDS = np.array([0, N - 1, 33, -1, 31])
CAPTURE = {"enableGraphCapture": "1"}
Feeds = dict[str, np.ndarray]


class Graph(Builder):
    """Products in f32 of inputs [2, K]."""

    def x(self, name: str) -> str:
        return self.add_input(name, [2, K])

    def quantised(
        self, n: int = N, bits: int = 4, block: int = 32, zeros: bool = False, name: str = "w"
    ) -> list[str]:
        """Names of a weight's data, scales and zero points, which are new constants."""
        blocks = -(-K // block)
        self.attrs = {"K": K, "N": n, "bits": bits, "block_size": block}
        data = self.rng.integers(0, 256, (n, blocks, block * bits // 8), dtype=np.uint8)
        scales = self.rng.uniform(0.01, 0.02, (n, blocks)).astype(np.float32)
        names = [self.constant(name + ".q", data), self.constant(name + ".s", scales)]
        if zeros:
            size = (n, -(-blocks * bits // 8))
            names.append(self.constant(name + ".z", self.rng.integers(0, 256, size, dtype=np.uint8)))
        return names

    def table(self, weights: list[str], rank: int) -> list[str]:
        """The same values as a table of K values a row in blocks of 32; rank 3: with an axis of blocks."""
        bits = self.attrs["bits"]
        shapes = [(N, 3, 4 * bits), (N, 3, 1), (N, 3, 1)] if rank == 3 else [(N, 12 * bits), (N, 3), (N, -1)]
        values = {w.name: onnx.numpy_helper.to_array(w) for w in self.weights}
        return [self.constant(w + ".t", values[w].reshape(s)) for w, s in zip(weights, shapes, strict=False)]

    def gather(self, table: list[str], rank: int) -> None:
        bits = self.attrs["bits"]
        self.add_input("ids", [5], TensorProto.INT64)
        inputs = [table[0], "ids", *table[1:]]
        attrs = {"gather_axis": 0, "quantize_axis": rank - 1, "bits": bits, "block_size": 32}
        self.node("GatherBlockQuantized", inputs, "rows", MS, **attrs)
        self.add_output("rows", None)

    def product(self, x: str, weights: list[str], y: str) -> None:
        self.node("MatMulNBits", [x, *weights], y, MS, **self.attrs)
        self.add_output(y, [2, self.attrs["N"]])

    def feeds(self, seed: int = 0) -> Feeds:
        rng = np.random.default_rng(seed)
        return {
            i.name: rng.standard_normal([d.dim_value for d in i.type.tensor_type.shape.dim]).astype(
                np.float32
            )
            for i in self.inputs
        }


def check(session: ort.InferenceSession, model: bytes, feeds: Feeds, runs: int = 3) -> None:
    """Each run gives what the CPU EP gives."""
    want = cpu_session(model).run(None, feeds)
    for _ in range(runs):
        for y, expected in zip(run_plain(session, feeds), want, strict=True):
            if expected.dtype == np.float32:
                np.testing.assert_allclose(y, expected, atol=2e-4)
            else:
                np.testing.assert_array_equal(y, expected)


def weight_bytes(
    daybreak: Daybreak, model: bytes, feeds: Feeds, file: Path, oracle: bytes = b"", **options: Any
) -> tuple[int, int]:
    """Memory of weights after the session is made, and what runs add to it. Checks the results."""
    session = daybreak.session(model, {"memoryFile": str(file)}, **options)
    before = json.loads(file.read_text())["weights"]
    check(session, oracle or model, feeds)
    return before, json.loads(file.read_text())["weights"] - before


@pytest.mark.parametrize("zeros", [False, True], ids=["", "zeros"])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 70])
@pytest.mark.parametrize("bits, block", [(2, 16), (2, 64), (4, 16), (4, 32), (4, 256), (8, 16), (8, 128)])
def test_every_width(bits: int, block: int, n: int, zeros: bool, daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    g.product(g.x("x"), g.quantised(n, bits, block, zeros), "y")
    before, more = weight_bytes(daybreak, g.serialize(), g.feeds(), tmp_path / "memory")
    assert before > 0 and more == 0


def test_a_large_weight_is_permuted_in_steps(daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    g.product(g.x("x"), g.quantised(WIDE, bits=8, block=32), "y")
    assert weight_bytes(daybreak, g.serialize(), g.feeds(), tmp_path / "memory")[1] == 0


def test_products_share_a_weight(daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    weights = g.quantised(zeros=True)
    g.product(g.x("a"), weights, "y")
    g.product(g.x("b"), weights, "z")
    assert weight_bytes(daybreak, g.serialize(), g.feeds(), tmp_path / "memory")[1] == 0


def tied(rank: int, bits: int, zeros: bool, shared: bool) -> Graph:
    """A table and a head. `shared`: one constant where both operators take its shape, or Daybreak's do."""
    g = Graph(np.float32)
    weights = g.quantised(bits=bits, zeros=zeros)
    table = g.table(weights, rank)
    if shared:
        weights = table if rank == 2 else [table[0], *weights[1:]]
    g.gather(table, rank)
    g.product(g.x("x"), weights, "y")
    return g


@pytest.mark.parametrize("zeros", [False, True], ids=["", "zeros"])
@pytest.mark.parametrize("rank, bits", [(2, 2), (2, 4), (2, 8), (3, 8)])
def test_a_head_shares_the_table(
    rank: int, bits: int, zeros: bool, daybreak: Daybreak, tmp_path: Path
) -> None:
    g = tied(rank, bits, zeros, shared=True)
    feeds = {**g.feeds(), "ids": IDS}
    oracle = tied(rank, bits, zeros, shared=False).serialize()
    assert weight_bytes(daybreak, g.serialize(), feeds, tmp_path / "memory", oracle)[1] == 0


def test_a_table_alone_stays_as_it_is(daybreak: Daybreak) -> None:
    g = Graph(np.float32)
    table = g.table(g.quantised(), 2)
    g.gather(table, 2)
    g.node("Cast", [table[0]], "raw", to=TensorProto.INT32)
    g.add_output("raw", None, TensorProto.INT32)
    check(daybreak.session(g.serialize()), g.serialize(), {"ids": IDS})


def test_a_weight_that_others_read_is_copied_once(daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    weights = g.quantised()
    g.product(g.x("a"), weights, "y")
    g.product(g.x("b"), weights, "z")
    g.node("Cast", [weights[0]], "raw", to=TensorProto.INT32)
    g.add_output("raw", None, TensorProto.INT32)
    size = N * K // 2
    more = weight_bytes(daybreak, g.serialize(), g.feeds(), tmp_path / "memory")[1]
    assert size <= more < size + 256


def test_a_weight_that_is_an_output_is_copied(daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    weights = g.quantised()
    g.product(g.x("a"), weights, "y")
    g.add_output(weights[1], [N, 3])
    more = weight_bytes(daybreak, g.serialize(), g.feeds(), tmp_path / "memory", fallback=True)[1]
    assert 4 * N * 3 <= more < 4 * N * 3 + 256


def test_a_weight_of_the_outer_graph_is_copied(daybreak: Daybreak, tmp_path: Path) -> None:
    g = Graph(np.float32)
    weights = g.quantised()
    g.x("x")
    branches = {}
    for name, x in (("then_branch", "x"), ("else_branch", "minus")):
        nodes = [helper.make_node("Neg", ["x"], ["minus"])] if x == "minus" else []
        nodes.append(helper.make_node("MatMulNBits", [x, *weights], [name], domain=MS, **g.attrs))
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, N])
        branches[name] = helper.make_graph(nodes, name, [], [out])
    g.add_input("which", [], TensorProto.BOOL)
    g.node("If", ["which"], "y", **branches)
    g.add_output("y", [2, N])
    model = g.serialize()
    x = np.random.default_rng(3).standard_normal((2, K)).astype(np.float32)
    file = tmp_path / "memory"
    session = daybreak.session(model, {"memoryFile": str(file)}, fallback=True)
    used = []
    for which in (True, False, True):
        check(session, model, {"x": x, "which": np.array(which)})
        used.append(json.loads(file.read_text())["weights"])
    assert used[0] == used[1] == used[2]


@pytest.mark.parametrize("options", [{}, CAPTURE], ids=["", "capture"])
def test_weights_that_are_inputs_may_change(options: dict[str, str], daybreak: Daybreak) -> None:
    g = Graph(np.float32)
    q, s = g.quantised()
    data, scales = (onnx.numpy_helper.to_array(w) for w in g.weights)
    g.weights.clear()
    g.add_input(q, list(data.shape), TensorProto.UINT8)
    g.add_input(s, list(scales.shape))
    g.product(g.x("x"), [q, s], "y")
    model = g.serialize()
    session = daybreak.session(model, options)
    feeds = {"x": g.rng.standard_normal((2, K)).astype(np.float32), s: scales}
    want = [cpu_session(model).run(None, {**feeds, q: d})[0] for d in (data, data[::-1])]
    inputs = {n: daybreak.upload(v) for n, v in {**feeds, q: data}.items()}
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    y = daybreak.empty([2, N], TensorProto.FLOAT)
    binding.bind_ortvalue_output("y", y)
    for i in (0, 1, 0):
        given = np.ascontiguousarray((data, data[::-1])[i])
        inputs[q].update_inplace(given)
        session.run_with_iobinding(binding)
        np.testing.assert_allclose(y.numpy(), want[i], atol=2e-4)
        np.testing.assert_array_equal(inputs[q].numpy(), given)


def test_the_first_run_may_be_captured(daybreak: Daybreak) -> None:
    """A replay does not permute again."""
    g = Graph(np.float32)
    weights = g.quantised(zeros=True)
    g.product(g.x("x"), weights, "y")
    model, feeds = g.serialize(), g.feeds()
    session = daybreak.session(model, CAPTURE)
    bound = Bound(daybreak, session, feeds["x"]).fix_outputs(daybreak, [np.zeros((2, N), np.float32)])
    for seed in range(4):
        value = g.feeds(seed)["x"]
        (y,) = bound.run(value)
        np.testing.assert_allclose(y, cpu_session(model).run(None, {"x": value})[0], atol=2e-4)


def test_sessions_and_threads_permute_weights_of_their_own(daybreak: Daybreak) -> None:
    """Two threads run each of two sessions of a model for the first time."""
    g = Graph(np.float32)
    for name in "abc":
        g.product(g.x("x" + name), g.quantised(zeros=True, name=name), name)
    model, feeds = g.serialize(), g.feeds()
    want = cpu_session(model).run(None, feeds)
    sessions = [daybreak.session(model) for _ in range(2)]
    wrong: list[float] = []

    def body(index: int) -> None:
        for _ in range(3):
            got = run_plain(sessions[index % 2], feeds)
            wrong.append(max(float(np.abs(y - w).max()) for y, w in zip(got, want, strict=True)))

    in_threads(4, body)
    assert len(wrong) == 12 and max(wrong) < 2e-4
