"""The products of a decoder layer behind its attention as one node: the patterns, and the kernel that runs them in one
dispatch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.again import run_tests
from helpers.bound import check_captured
from helpers.chain_graphs import NO_CHAINS, Chain, chain, chains
from helpers.fusion_graphs import feeds, model
from helpers.llm import Config, Runner, build
from helpers.run import Daybreak, cpu_session, run_plain, session_options
from helpers.small_models import Builder
from helpers.threads import in_threads
from test_fusion import fused

FORCED = "DAYBREAK_VARIANT" in os.environ

# A run of forty rows takes the steps.
CHAINS = {
    "skip": Chain(),
    "skip first": Chain(kind="skip first"),
    "add": Chain(kind="add"),
    "gelu": Chain(activation="gelu"),
    "8 bits": Chain(bits=8),
    "8 bits, block 64": Chain(k=64, hidden=128, inner=192, bits=8, block=64),
    "block 16": Chain(block=16),
    "block 128": Chain(k=256, hidden=128, inner=384, n=128, block=128),
    "odd y": Chain(n=77),
    "one group": Chain(k=32, hidden=32, inner=32, n=8),
    "135M": Chain(k=576, hidden=576, inner=1536, n=576),
    "long k": Chain(k=2048, hidden=64, inner=4160, n=40),
    # Not what the kernel takes.
    "odd k": Chain(k=100),
    "odd hidden": Chain(hidden=104),
    "odd inner": Chain(inner=72),
    "block over the end": Chain(block=64),
    "2 bits": Chain(bits=2),
}


def built(dtype: Any, c: Chain) -> bytes:
    b = Builder(dtype)
    chain(b, c)
    return model(b)


def relative(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got.astype(np.float64) - want).max() / np.abs(want).max())


@pytest.mark.parametrize("c", CHAINS.values(), ids=list(CHAINS))
def test_results(c: Chain, daybreak: Daybreak) -> None:
    """One row, again and again, and more rows, against the f32 model on the CPU EP."""
    data = built(np.float16, c)
    assert fused(daybreak, data) == {"MatMulNBitsChain": 1}
    on_device, on_cpu = daybreak.session(data), cpu_session(built(np.float32, c))
    for rows in (1, 1, 1, 3, 1, 40):
        x = feeds(data, rows)
        got = run_plain(on_device, x)
        want = run_plain(on_cpu, {name: value.astype(np.float32) for name, value in x.items()})
        for g, w in zip(got, want, strict=True):
            assert g.shape == w.shape
            assert relative(g, w) <= 1e-2, f"{rows} rows"


@pytest.mark.parametrize("graph", NO_CHAINS, ids=lambda g: g.__name__)
def test_what_is_no_chain(graph: Any, daybreak: Daybreak) -> None:
    b = Builder(np.float16)
    want = graph(b)
    assert fused(daybreak, model(b)) == want


def test_f32_is_no_chain(daybreak: Daybreak) -> None:
    assert fused(daybreak, built(np.float32, Chain())) == {"MatMulNBitsGated": 1, "alone MatMulNBits": 2}


def test_option(daybreak: Daybreak) -> None:
    nodes = fused(daybreak, built(np.float16, Chain()), {"enableFusion": "0"})
    assert nodes["alone MatMulNBits"] == 4


def layers(count: int, c: Chain) -> bytes:
    b = Builder(np.float16)
    chains(b, c, count)
    return model(b)


SAME = Chain(k=96, n=96)
WIDER = Chain(k=96, n=96, inner=320)


def test_many_runs(daybreak: Daybreak) -> None:
    """Each dispatch leaves its state as the next one wants it: 50 runs of three layers give the same, and what other
    values give does not depend on what ran before."""
    data = layers(3, SAME)
    session = daybreak.session(data)
    given = [feeds(data, 1), {name: x * np.float16(-0.5) for name, x in feeds(data, 1).items()}]
    want = [session.run(None, x) for x in given]
    assert not np.array_equal(want[0][0], want[1][0])
    for i in range(50):
        for got, first in zip(session.run(None, given[i % 2]), want[i % 2], strict=True):
            np.testing.assert_array_equal(got, first)


def test_sessions_in_turn_and_side_by_side(daybreak: Daybreak) -> None:
    datas = [layers(2, SAME), layers(2, WIDER)]
    sessions = [daybreak.session(data) for data in datas]
    given = [feeds(data, 1) for data in datas]
    want = [s.run(None, x) for s, x in zip(sessions, given, strict=True)]
    wrong: list[int] = []

    def run(i: int) -> None:
        got = sessions[i].run(None, given[i])
        if not all(np.array_equal(g, w) for g, w in zip(got, want[i], strict=True)):
            wrong.append(i)

    for i in range(20):
        run(i % 2)
    in_threads(2, lambda i: [run(i) for _ in range(20)])
    assert not wrong


def test_capture(daybreak: Daybreak) -> None:
    data = layers(2, SAME)
    check_captured(daybreak, data, feeds(data, 1), (1, -2, 3) * 4)


def test_decoder(daybreak: Daybreak) -> None:
    """A small language model chooses the same tokens with and without fused nodes."""
    config = Config(hidden=96, ffn=160, heads=4, kv_heads=2, head_dim=32)
    data = build(config, np.float16)
    assert fused(daybreak, data)["MatMulNBitsChain"] == config.layers
    prompt = np.random.default_rng(3).integers(0, config.vocab, (1, 9))
    chosen = []
    for flag in "10":
        session = daybreak.session(data, {"enableFusion": flag})
        runner = Runner(session, config, np.float16, 1, memory=daybreak.memory)
        ids, tokens = prompt, []
        for _ in range(24):
            tokens.append(int(runner.step(ids)[0, -1].argmax()))
            ids = np.array([[tokens[-1]]])
        chosen.append(tokens)
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) > 4, "the model repeats itself, so that equal tokens tell little"


def test_numbers_that_are_not_finite(daybreak: Daybreak) -> None:
    """A NaN reaches every result and leaves nothing behind."""
    data = layers(2, SAME)
    session, given = daybreak.session(data), feeds(data, 1)
    want = session.run(None, given)
    broken = {name: x.copy() for name, x in given.items()}
    broken["x"][0, 0, 5] = np.nan
    assert np.isnan(session.run(None, broken)[0]).all()
    for _ in range(3):
        for got, first in zip(session.run(None, given), want, strict=True):
            np.testing.assert_array_equal(got, first)


def test_profile(daybreak: Daybreak, tmp_path: Path) -> None:
    """The chain is one dispatch where it is forced, and three where it is not wanted."""
    if daybreak.device.ep_metadata["timestamps"] != "1":
        pytest.skip("the device has no timestamps")
    so = session_options()
    so.enable_profiling = True
    so.profile_file_prefix = str(tmp_path / "chain")
    data = built(np.float16, Chain())
    session = daybreak.session(data, session_options_=so)
    session.run(None, feeds(data, 1))
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [e["args"] for e in events if "kernel" in e.get("args", {})]
    kernels = [k for k in kernels if "pack" not in k["kernel"]]
    assert {k["op_name"] for k in kernels} == {"MatMulNBitsChain"}
    if FORCED:
        assert [k["kernel"] for k in kernels] == ["matmul_nbits_chain"]
    elif daybreak.device.ep_metadata["software"] == "1":
        assert "matmul_nbits_chain" not in {k["kernel"] for k in kernels}


@pytest.mark.skipif(FORCED, reason="this is the process with forced variants")
def test_one_dispatch(library: Path) -> None:
    """The same through the kernel that computes all steps, which software devices do not take by themselves."""
    cases = "results or runs or sessions or capture or decoder or finite or profile"
    run = run_tests("test_chain.py", library, {"DAYBREAK_VARIANT": "nbits_chain"}, "-k", cases, timeout=600)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
