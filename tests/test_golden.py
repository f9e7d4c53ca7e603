"""SmolLM2 on Daybreak answers as on ONNX Runtime's CPU EP: greedy tokens, logits, batches, and through genai."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.run import Daybreak
from helpers.smol import Decoder, Models, greedy, reference

ROOT = Path(__file__).resolve().parent.parent
GGUF = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
RELATIVE = {"f16": 2e-2, "f32": 1e-4}
TOKENS = 64
QUESTIONS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Explain in two sentences why the sky is blue.",
    "List three prime numbers greater than 10 and add them up.",
    "Translate 'good morning, my friend' into Spanish.",
]
# Tokens through onnxruntime-genai, in a process where it alone registers the plugin.
GENAI = """
import json, sys
from onnxruntime_ep_daybreak.generation import LanguageModel, Sampling
model = LanguageModel(sys.argv[1], "daybreak", json.loads(sys.argv[2]))
prompts, count = json.loads(sys.stdin.read())
tokens = [list(model.stream(prompt, Sampling(max_tokens=count))) for prompt in prompts]
print(json.dumps({"device": model.model.device_type, "tokens": tokens}))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, daybreak: Daybreak) -> Iterator[Models]:
    assert GGUF.is_file(), "the model is missing: run 'make setup'"
    made = Models(GGUF, tmp_path_factory.mktemp("smol"))
    yield made
    made.device.clear()  # before the plugin is unregistered


@pytest.fixture(scope="module")
def prompts(models: Models) -> list[list[int]]:
    tokenizer = models.tokenizer()
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    turns = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    return [tokenizer.encode(turns.format(system, question)).ids for question in QUESTIONS]


def relative(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got - want).max() / np.abs(want).max())


def check_tokens(tokens: list[int], want: np.ndarray, error: float) -> str:
    """Each token is the most probable one of `want`, or as probable within twice the logits' error."""
    report = ""
    for step, token in enumerate(tokens):
        best = int(want[step].argmax())
        gap = float(want[step, best] - want[step, token])
        if token != best and not report:
            report = f"first difference at token {step}: {token} for {best}, logit gap {gap:.4g}"
        assert gap <= 2 * error, f"{report}; at token {step} the gap {gap:.4g} is above 2 x {error:.4g}"
    return report or "no difference"


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_greedy_decoding(dtype: str, models: Models, prompts: list[list[int]], daybreak: Daybreak) -> None:
    """64 tokens on five prompts with a static cache, and the logits of each step."""
    session, cpu = models.on_device(daybreak, dtype), models.on_cpu(dtype)
    for question, prompt in zip(QUESTIONS, prompts, strict=True):
        tokens, logits = greedy(Decoder(session, 1, daybreak.memory), prompt, TOKENS)
        want = reference(cpu, prompt + tokens[:-1])[len(prompt) - 1 :]
        worst = max(relative(got, row) for got, row in zip(logits, want, strict=True))
        report = check_tokens(tokens, want, float(np.abs(logits - want).max()))
        print(f"{dtype} {question!r}: {report}; largest relative error of a logit {worst:.2e}")
        assert worst <= RELATIVE[dtype]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "separate"])
def test_fused_nodes(packed: bool, models: Models, daybreak: Daybreak) -> None:
    """Each layer runs its norms, projections and activation as two nodes, beside attention and two products."""
    lines = daybreak.explain(str(models.path("f16", packed=packed) / "model.onnx"))
    groups = Counter(op for op, _ in {(x["fused"], x["group"]) for x in lines if "fused" in x})
    assert groups == {"MatMulNBitsGroup": 30, "MatMulNBitsGated": 30}
    alone = Counter(
        line["op"] for line in lines if "fused" not in line and line["node"].startswith("/model/layers.")
    )
    assert alone == {"GroupQueryAttention": 30, "MatMulNBits": 60, "SkipSimplifiedLayerNormalization": 1}


@pytest.fixture(scope="module")
def batch(models: Models, prompts: list[list[int]]) -> dict[str, Any]:
    """Three prompts of different lengths, the longest in the middle, four more tokens each, and what each row gives
    when it is alone on the CPU, by type."""
    rows = [prompts[0], prompts[3], prompts[1][:9]]
    further = np.random.default_rng(1).integers(0, 49152, (3, 4))
    wants = {
        dtype: [
            reference(models.on_cpu(dtype), [*row, *more])[len(row) - 1 :]
            for row, more in zip(rows, further.tolist(), strict=True)
        ]
        for dtype in RELATIVE
    }
    return {"rows": rows, "further": further, "wants": wants}


@pytest.mark.parametrize("static", [True, False], ids=["static", "growing"])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "separate"])
@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_batch_with_right_padding(
    dtype: str, packed: bool, static: bool, models: Models, batch: dict[str, Any], daybreak: Daybreak
) -> None:
    rows, further = batch["rows"], batch["further"]
    lengths = np.array([len(row) for row in rows])
    ids = np.zeros((3, lengths.max()), np.int64)
    for row, prompt in enumerate(rows):
        ids[row, : len(prompt)] = prompt
    decoder = Decoder(
        models.on_device(daybreak, dtype, packed=packed), 3, daybreak.memory if static else None
    )
    steps = [decoder.step(ids, lengths), *(decoder.step(further[:, i : i + 1]) for i in range(4))]
    for step, logits in enumerate(steps):
        for row, want in enumerate(batch["wants"][dtype]):
            assert relative(logits[row], want[step]) <= RELATIVE[dtype], f"row {row}, step {step}"


@pytest.mark.parametrize("capture", ["0", "1"], ids=["plain", "capture"])
def test_genai(capture: str, models: Models, prompts: list[list[int]], daybreak: Daybreak) -> None:
    """onnxruntime-genai with its WebGPU device path, as `daybreak generate` uses it, gives the same tokens."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": daybreak.library}
    chosen, count = [prompts[0], prompts[2]], 24
    options = json.dumps({"enableGraphCapture": capture})
    command = [sys.executable, "-c", GENAI, str(models.path("f16")), options]
    data = json.dumps([chosen, count])
    done = subprocess.run(command, input=data, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["device"] == "WebGPU"
    assert "Paris" in models.tokenizer().decode(result["tokens"][0])
    session = models.on_device(daybreak, "f16")
    for prompt, tokens in zip(chosen, result["tokens"], strict=True):
        assert tokens == greedy(Decoder(session, 1, daybreak.memory), prompt, count)[0][: len(tokens)]
