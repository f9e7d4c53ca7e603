"""PagedAttention where one run of a node says too little: caches in place, replays, values that lead nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from cases.paged import paged
from helpers.run import Daybreak
from onnx import TensorProto, helper

HEADS, KV_HEADS, HEAD, BLOCK, POOL, WIDTH = 4, 2, 32, 16, 20, 5
ATTRIBUTES: dict[str, Any] = {"num_heads": HEADS, "kv_num_heads": KV_HEADS, "do_rotary": 1}
NAMES = ["q", "k", "v", "key_cache", "value_cache", "starts", "pasts", "table", "cos", "sin"]
INTS = {"starts", "pasts", "table", "slots", "bounds"}


def model_of(
    *, caches_out: bool = True, slots: bool = False, bounds: bool = False, **attributes: Any
) -> bytes:
    names = [*NAMES, "slots" if slots else "", *[""] * 5, "bounds" if bounds else ""]
    results = ["y", "key_cache_out", "value_cache_out"][: 3 if caches_out else 1]
    node = helper.make_node(
        "PagedAttention", names, results, domain="com.microsoft", **ATTRIBUTES, **attributes
    )
    rank = {"key_cache": 4, "value_cache": 4, "starts": 1, "pasts": 1, "slots": 1, "bounds": 1}
    infos = [
        helper.make_tensor_value_info(
            n,
            TensorProto.INT32 if n in INTS else TensorProto.FLOAT16,
            [f"{n}{d}" for d in range(rank.get(n, 2))],
        )
        for n in names
        if n
    ]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, None) for n in results]
    graph = helper.make_graph([node], "paged", infos, outputs)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


class Server:
    """A cache on the device, what it holds on the CPU in f64, and steps over it."""

    def __init__(self, daybreak: Daybreak, *, options: dict[str, str] | None = None, **of_model: Any) -> None:
        self.rng = np.random.default_rng(7)
        self.daybreak = daybreak
        self.bounds = of_model.get("bounds")
        self.session = daybreak.session(model_of(**of_model), options)
        self.binding = self.session.io_binding()
        self.angles = [self.draw(WIDTH * BLOCK, HEAD // 2) for _ in range(2)]
        self.want = [self.draw(POOL, BLOCK, KV_HEADS, HEAD) for _ in range(2)]
        self.caches = [daybreak.upload(c) for c in self.want]
        self.values: dict[str, ort.OrtValue] = {}

    def draw(self, *shape: int) -> np.ndarray:
        return self.rng.uniform(-1, 1, shape).astype(np.float16)

    def step(self, starts: Sequence[int], pasts: Sequence[int], table: Any, slots: Sequence[int] | None = None,
             *, tokens: int | None = None) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """One run: what came out, and what should have. The wanted caches move on as well."""
        count = starts[-1] if tokens is None else tokens
        rows = [self.draw(count, n * HEAD) for n in (HEADS, KV_HEADS, KV_HEADS)]
        ints = [np.array(x, np.int32) for x in (starts, pasts, table)]
        feeds = dict(zip(NAMES, [*rows, *self.want, *ints, *self.angles], strict=True))
        if slots is not None:
            feeds["slots"] = np.array(slots, np.int32)
        if self.bounds:
            feeds["bounds"] = np.array([count, WIDTH * BLOCK], np.int32)
        got = self.run({n: x for n, x in feeds.items() if not n.endswith("_cache")})
        self.feeds = feeds
        if tokens is not None:  # lengths that make no sense
            return got, got
        wide = [
            x.astype(np.float64) if x.dtype == np.float16 else x for n, x in feeds.items() if n != "bounds"
        ]
        y, *caches = paged(*wide, **ATTRIBUTES)
        self.want = [c.astype(np.float16) for c in caches]
        return got, y

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        if self.values:
            for name, x in feeds.items():
                self.values[name].update_inplace(x)
        else:
            self.bind(feeds)
        self.session.run_with_iobinding(self.binding)
        self.binding.synchronize_outputs()
        result: np.ndarray = self.values["y"].numpy()
        return result

    def bind(self, feeds: dict[str, np.ndarray]) -> None:
        """Inputs and outputs at fixed places, the caches' outputs at those of their inputs."""
        caches = dict(zip(["key_cache", "value_cache"], self.caches, strict=True))
        self.values = {name: self.daybreak.upload(x) for name, x in feeds.items()}
        for name, value in (self.values | caches).items():
            self.binding.bind_ortvalue_input(name, value)
        self.values["y"] = self.daybreak.empty((len(feeds["q"]), HEADS * HEAD), TensorProto.FLOAT16)
        for output in self.session.get_outputs():
            value = caches.get(output.name.removesuffix("_out"), self.values["y"])
            self.binding.bind_ortvalue_output(output.name, value)

    def check(self, got: np.ndarray, want: np.ndarray) -> None:
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=2e-3, atol=1e-3)
        for cache, expected in zip(self.caches, self.want, strict=True):
            np.testing.assert_allclose(cache.numpy(), expected, rtol=2e-3, atol=1e-3)


TABLE = np.arange(15).reshape(3, WIDTH)


def test_a_cache_that_is_not_asked_back_is_updated(daybreak: Daybreak) -> None:
    server = Server(daybreak, caches_out=False)
    before = server.caches[0].numpy()
    server.check(*server.step([0, 1, 8, 9], [20, 0, 3], TABLE))
    assert (server.caches[0].numpy() != before).any()


@pytest.mark.parametrize(("slots", "bounds"), [(False, False), (True, False), (False, True)])
def test_replays_read_lengths_and_tables_anew(daybreak: Daybreak, slots: bool, bounds: bool) -> None:
    """Capture with one mixture, replay with others: the lengths of sequences, their pasts and blocks all change."""
    server = Server(daybreak, options={"enableGraphCapture": "1"}, slots=slots, bounds=bounds)
    for starts, pasts, turn in [
        ([0, 1, 33, 34], [15, 0, 40], 0),  # captured
        ([0, 1, 33, 34], [16, 0, 41], 0),  # across the end of a block
        ([0, 34, 34, 34], [0, 9, 9], 4),
        ([0, 11, 22, 34], [60, 1, 5], 7),
        ([0, 0, 0, 34], [3, 3, 46], 1),
    ]:
        own = [7 + (i * 3) % 34 for i in range(34)] if slots else None
        server.check(*server.step(starts, pasts, np.roll(np.arange(POOL), turn)[:15].reshape(3, 5), own))


def test_replays_of_single_tokens(daybreak: Daybreak) -> None:
    server = Server(daybreak, options={"enableGraphCapture": "1"})
    for step in range(5):
        server.check(*server.step([0, 1, 2, 3], [14 + step, 31, 77 - step], (TABLE + 5 * step) % POOL))


BAD = [-1, POOL, 2**31 - 1, -(2**31)]


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("counts", [[0, 1, 2, 3], [0, 40, 41, 45]])
def test_blocks_outside_the_cache_are_not_written(daybreak: Daybreak, counts: list[int], slots: bool) -> None:
    """Neighbouring sequences stay right, and every byte of the caches that no token owns stays what it was."""
    for bad in BAD:
        server = Server(daybreak, slots=slots)
        table = TABLE.copy()
        table[1] = bad
        own = None
        if slots:
            own = [bad if counts[1] <= t < counts[2] else 2 * t for t in range(counts[-1])]
        q_before = server.want
        got, _ = server.step(counts, [3, 8, 2], TABLE if slots else table, own, tokens=counts[-1])
        # What the others get does not depend on the bad blocks.
        feeds = dict(server.feeds, table=TABLE.astype(np.int32))
        wide = [x.astype(np.float64) if x.dtype == np.float16 else x for x in feeds.values()]
        want, *caches = paged(*wide, **ATTRIBUTES)
        if not slots:  # blocks of the second sequence, which the table does not really name
            for cache, before in zip(caches, q_before, strict=True):
                cache[TABLE[1]] = before[TABLE[1]]
        server.want = [c.astype(np.float16) for c in caches]
        others = np.r_[: counts[1], counts[2] : counts[3]]
        got[counts[1] : counts[2]] = want[counts[1] : counts[2]] = 0
        assert len(others)
        server.check(got, want)


@pytest.mark.parametrize(
    ("starts", "pasts"),
    [
        ([0, -5, 2**31 - 1, 3], [0, 0, 0]),
        ([2**31 - 1, 0, -(2**31), 9], [4, 5, 6]),
        ([3, 2, 1, 0], [4, 5, 6]),
        ([0, 1, 2, 3], [2**31 - 1, -1, -(2**31)]),
        ([0, 30, 40, 45], [WIDTH * BLOCK, WIDTH * BLOCK - 3, 2**31 - 1]),
    ],
)
def test_lengths_that_make_no_sense_do_no_harm(
    daybreak: Daybreak, starts: list[int], pasts: list[int]
) -> None:
    """Blocks that no table names stay untouched, and the session works on."""
    for tokens in (3, 45):
        server = Server(daybreak)
        server.step(starts, pasts, TABLE, tokens=tokens)
        for cache, before in zip(server.caches, server.want, strict=True):
            np.testing.assert_array_equal(cache.numpy()[15:], before[15:])
        server.want = [c.numpy() for c in server.caches]
        server.values.clear()
        server.check(*server.step([0, 1, 2, 3], [3, 4, 5], TABLE))


def test_tensors_that_do_not_match_are_named(daybreak: Daybreak) -> None:
    server = Server(daybreak)
    for starts, pasts, table, message in [
        ([0, 1], [0, 0], TABLE, "past_seqlens"),
        ([0, 1, 2], [0, 0], TABLE, "block_table"),
        ([0, 1, 2], [0, 0], np.zeros((2, 0), int), "find no block"),
    ]:
        server.values.clear()
        with pytest.raises(Exception, match=message):
            server.step(starts, pasts, table)
