"""A small language model runs wholly on the EP, in every form that real ones take, and gives the CPU EP's logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from helpers.llm import Config, Runner, build
from helpers.process import resident
from helpers.run import Daybreak, cpu_session

ALL = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
RELATIVE = {np.float16: 2e-2, np.float32: 1e-4}
SHAPE_ONLY = {"Shape", "Gather", "Cast"}  # of the mask: what ONNX Runtime's own EPs leave on the CPU, too

CONFIGS = {
    "plain": Config(),
    "packed": Config(packed=True),
    "mask": Config(direct=False),
    "float zero points": Config(float_zero_points=True),
    "8 bits, block 16": Config(bits=8, block=16),
    "2 bits, block 64": Config(bits=2, block=64),
    "ragged": Config(hidden=72, ffn=100, vocab=131, heads=3, kv_heads=1),
}


def close(got: np.ndarray, want: np.ndarray, dtype: type[Any]) -> None:
    error = np.abs(got.astype(np.float64) - want).max() / np.abs(want).max()
    assert error <= RELATIVE[dtype], f"relative error {error:.3g} is above {RELATIVE[dtype]:g}"


def sessions(
    daybreak: Daybreak, config: Config, dtype: type[Any], **more: dict[str, str]
) -> list[ort.InferenceSession]:
    """On the EP, and the f32 reference on the CPU EP."""
    record = {"session.record_ep_graph_assignment_info": "1"}
    fallback = not config.direct
    on_ep = daybreak.session(build(config, dtype, 4), level=ALL, fallback=fallback, config=record, **more)
    left = [
        (node.op_type, node.name)
        for subgraph in on_ep.get_provider_graph_assignment_info()
        if subgraph.ep_name != daybreak.ep_name
        for node in subgraph.get_nodes()
    ]
    assert not [n for n in left if n[0] not in SHAPE_ONLY], f"compute nodes on the CPU: {left}"
    return [on_ep, cpu_session(build(config, np.float32), ALL)]


def follow(runners: list[Runner], dtype: type[Any], lengths: list[int], steps: int = 5) -> None:
    """Prefills prompts of these lengths (padded on the right) and decodes, comparing the logits of all runners."""
    rng = np.random.default_rng(3)
    vocab = runners[0].c.vocab
    ids = rng.integers(0, vocab, (len(lengths), max(lengths)))
    new = np.array(lengths)
    got, want = (r.step(ids, new) for r in runners)
    for row, n in enumerate(lengths):
        close(got[row, :n], want[row, :n], dtype)
    for _ in range(steps):
        ids = rng.integers(0, vocab, (len(lengths), 1))
        got, want = (r.step(ids) for r in runners)
        close(got, want, dtype)


@pytest.mark.parametrize("static", [False, True], ids=["growing", "static"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_logits(name: str, dtype: type[Any], static: bool, daybreak: Daybreak) -> None:
    config = CONFIGS[name]
    on_ep, on_cpu = sessions(daybreak, config, dtype)
    memory = daybreak.memory if static else None
    follow(
        [Runner(on_ep, config, dtype, 1, memory=memory), Runner(on_cpu, config, np.float32, 1)], dtype, [9]
    )


@pytest.mark.parametrize("static", [False, True], ids=["growing", "static"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", ["plain", "packed", "mask"])
def test_batch_with_right_padding(name: str, dtype: type[Any], static: bool, daybreak: Daybreak) -> None:
    """The longest prompt is not the first, and lengths differ by more than a tile of a small kernel."""
    config = CONFIGS[name]
    on_ep, on_cpu = sessions(daybreak, config, dtype)
    memory = daybreak.memory if static else None
    runners = [Runner(on_ep, config, dtype, 3, memory=memory), Runner(on_cpu, config, np.float32, 3)]
    follow(runners, dtype, [4, 41, 11])


def test_a_second_prompt_continues_the_first(daybreak: Daybreak) -> None:
    config = CONFIGS["plain"]
    on_ep, on_cpu = sessions(daybreak, config, np.float16)
    runners = [
        Runner(on_ep, config, np.float16, 1, memory=daybreak.memory),
        Runner(on_cpu, config, np.float32, 1),
    ]
    rng = np.random.default_rng(5)
    for size in (7, 1, 12, 1):
        ids = rng.integers(0, config.vocab, (1, size))
        got, want = (r.step(ids) for r in runners)
        close(got, want, np.float16)


def test_two_conversations_do_not_mix(daybreak: Daybreak) -> None:
    """Two caches in one session, interleaved, equal the same two one after the other."""
    config = CONFIGS["packed"]
    session = sessions(daybreak, config, np.float32)[0]
    rng = np.random.default_rng(11)
    prompts = [[rng.integers(0, config.vocab, (1, n)) for n in (5, 1, 1)] for _ in range(2)]

    def conversation() -> Callable[[np.ndarray], np.ndarray]:
        return Runner(session, config, np.float32, 1, memory=daybreak.memory).step

    alone = [[step(ids) for ids in prompt] for prompt in prompts for step in [conversation()]]
    a, b = conversation(), conversation()
    together = [(a(ids_a), b(ids_b)) for ids_a, ids_b in zip(*prompts, strict=True)]
    for row, steps in enumerate(alone):
        for first, pair in zip(steps, together, strict=True):
            np.testing.assert_array_equal(first, pair[row])


def test_sessions_of_a_model_leave_nothing_behind(daybreak: Daybreak) -> None:
    """Weights, packed in place or copied, go with the session."""
    config = Config(hidden=256, ffn=512, vocab=2000, heads=8, kv_heads=4, head_dim=32)
    model = build(config, np.float16, 4)
    ids = np.arange(8)[None]

    def cycle() -> None:
        Runner(daybreak.session(model, level=ALL), config, np.float16, 1, memory=daybreak.memory).step(ids)

    for _ in range(12):
        cycle()
    before = resident()
    for _ in range(25):
        cycle()
    grown = resident() - before
    assert grown < 16 << 20, f"25 sessions leave {grown >> 20} MiB behind"


def test_a_growing_cache_leaves_nothing_behind(daybreak: Daybreak, tmp_path: Path) -> None:
    """1,000 tokens whose cache is a new value on the device each time: memory follows the cache, and no more."""
    config = Config(max_len=1024)
    file = tmp_path / "memory.json"
    session = daybreak.session(build(config, np.float32), {"memoryFile": str(file)}, level=ALL)
    names = [f"{layer}.{kind}" for layer in range(config.layers) for kind in ("key", "value")]
    empty = np.zeros((1, config.kv_heads, 0, config.head_dim), np.float32)
    cache = {name: ort.OrtValue.ortvalue_from_numpy(empty, *daybreak.memory) for name in names}
    used = {}
    for past in range(1000):
        binding = session.io_binding()
        binding.bind_cpu_input("input_ids", np.array([[past % 7]], np.int64))
        binding.bind_cpu_input("seqlens_k", np.array([past], np.int32))
        binding.bind_cpu_input("total_len", np.array([past + 1], np.int32))
        for name, value in cache.items():
            binding.bind_ortvalue_input("past_key_values." + name, value)
        for name in names:
            binding.bind_output("present." + name, *daybreak.memory[:2])
        binding.bind_output("logits", "cpu")
        session.run_with_iobinding(binding)
        cache = dict(zip(names, binding.get_outputs(), strict=False))
        if past in (300, 999):
            used[past] = (resident(), json.loads(file.read_text()))
    grown = used[999][0] - used[300][0]
    assert grown < 16 << 20, f"700 runs leave {grown >> 20} MiB behind"
    first, last = used[300][1], used[999][1]
    assert last["weights"] == first["weights"] > 0
    assert last["scratch"] == 0
    assert last["tensors"] <= 4 * sum(v.tensor_size_in_bytes() for v in cache.values())
    assert last["reserved"] <= first["reserved"] + (8 << 20)
