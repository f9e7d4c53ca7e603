"""`daybreak bench`: speed of a model folder in tokens, or of an ONNX model in milliseconds."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from ..errors import DaybreakError
from ..feeds import load_feeds, random_feeds
from .common import Device, Ep, Option, Provider, out, parse_pairs, session_for, used_device
from .generate import generation_module
from .run import Dims, Inputs, parse_dims


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or an ONNX model.")],
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Length of the prompt (model folder).")] = 128,
    new_tokens: Annotated[int, typer.Option(min=2, help="Length of the answer (model folder).")] = 64,
    inputs: Inputs = None,
    dim: Dims = None,
    repeat: Annotated[int, typer.Option("--repeat", "-r", min=1, help="Measured runs.")] = 3,
    ep: Ep = Provider.daybreak,
    device: Device = 0,
    option: Option = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model: medians over the runs, the first run apart."""
    options = parse_pairs(option, "provider options")
    if model.is_dir():
        if inputs or dim:
            raise DaybreakError("--inputs and --dim are for ONNX models; this is a model folder")
        if device:
            raise DaybreakError("a model folder runs on the first device; --device is for ONNX models")
        rows = _language_model(model, ep, options, prompt_tokens, new_tokens, repeat)
    else:
        rows = _onnx(model, ep, device, options, inputs, parse_dims(dim), repeat)
    rows = {"model": str(model), **rows}
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value))
    out.print(table)


def _language_model(
    folder: Path, ep: Provider, options: dict[str, str], prompt_tokens: int, new_tokens: int, repeat: int
) -> dict[str, Any]:
    generation = generation_module()
    start = time.perf_counter()
    lm = generation.LanguageModel(folder, ep.value, options)
    load = time.perf_counter() - start
    if prompt_tokens + new_tokens > lm.context:
        raise DaybreakError(f"{prompt_tokens} + {new_tokens} tokens do not fit the context of {lm.context}")
    prompt = np.random.default_rng(0).integers(0, lm.vocab, prompt_tokens).tolist()
    prefill: list[float] = []
    decode: list[float] = []
    for _ in range(repeat + 1):
        seconds, steps = _one_answer(lm, generation.Sampling(), prompt, new_tokens)
        prefill.append(seconds)
        decode.append(statistics.median(steps))
    return {
        "device": lm.device,
        "load_s": load,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "first_prefill_s": prefill[0],
        "prefill_tokens_per_s": prompt_tokens / statistics.median(prefill[1:]),
        "decode_tokens_per_s": 1 / statistics.median(decode[1:]),
    }


def _one_answer(lm: Any, sampling: Any, prompt: list[int], count: int) -> tuple[float, list[float]]:
    """Seconds of the prefill, which includes the first token, and of each further token."""
    generator = lm.generator(len(prompt) + count, sampling)
    start = time.perf_counter()
    generator.append_tokens(prompt)
    generator.generate_next_token()
    prefill = time.perf_counter() - start
    steps: list[float] = []
    while len(steps) < count - 1 and not generator.is_done():
        start = time.perf_counter()
        generator.generate_next_token()
        steps.append(time.perf_counter() - start)
    return prefill, steps or [prefill]


def _onnx(
    model: Path,
    ep: Provider,
    device: int,
    options: dict[str, str],
    inputs: Path | None,
    dims: dict[str, int],
    repeat: int,
) -> dict[str, Any]:
    start = time.perf_counter()
    session = session_for(model, ep, device, options)
    load = time.perf_counter() - start
    feeds = load_feeds(session, inputs) if inputs else random_feeds(session, dims, 0)
    seconds: list[float] = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        session.run(None, feeds)
        seconds.append(time.perf_counter() - start)
    return {
        "device": used_device(ep, device),
        "load_s": load,
        "first_run_ms": seconds[0] * 1e3,
        "run_ms": statistics.median(seconds[1:]) * 1e3,
        "fastest_ms": min(seconds[1:]) * 1e3,
    }
