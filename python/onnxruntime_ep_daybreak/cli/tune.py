"""`daybreak tune`: measures which kernels are the fastest on this device, and keeps the result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..errors import DaybreakError
from ..feeds import load_feeds, random_feeds
from ..library import device_at, is_software
from ..tune import Kept, Outcome, Settings, Workload, known, load, of_folder, of_model, store, tune
from .common import Device, Option, Provider, err, onnx_file, out, parse_pairs, used_device
from .run import Dims, Inputs, Seed, parse_dims

_CONTEXTS = {True: [32], False: [128, 512, 2048]}  # by whether the device is software


def command(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="ONNX model, or a model folder; else layers of known models."),
    ] = None,
    device: Device = 0,
    show: Annotated[bool, typer.Option("--show", help="Show what is kept for the device.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what is kept for the device.")] = False,
    context: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Tokens of the prompt and of the KV cache (model folder); may be repeated."),
    ] = None,
    inputs: Inputs = None,
    dim: Dims = None,
    seed: Seed = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each variant.")] = 5,
    margin: Annotated[float, typer.Option(help="Percent of the time that a variant has to gain.")] = 3.0,
    wall: Annotated[
        bool, typer.Option("--wall", help="Time runs by the wall clock, as on devices without timestamps.")
    ] = False,
    option: Option = None,
) -> None:
    """Measure which kernels are fastest on this device for a model's problems; later sessions take them."""
    options = parse_pairs(option, "provider options")
    found = device_at(device)
    label = used_device(Provider.daybreak, device)
    if show or reset:
        if model is not None or (show and reset):
            raise DaybreakError("--show and --reset stand alone")
        if reset:
            store(device, options, {})
            out.print(f"{label}: nothing is kept", highlight=False, soft_wrap=True)
        else:
            _show(load(device, options).kept, label)
        return
    if os.environ.get("DAYBREAK_VARIANT"):
        raise DaybreakError("DAYBREAK_VARIANT is set, which decides for every session; unset it to tune")
    software, data = is_software(found), found.ep_metadata
    contexts = context or _CONTEXTS[software]
    workloads = (
        known(software, data.get("f16") == "1", contexts)
        if model is None
        else [_workload(model, contexts, inputs, parse_dims(dim), seed)]
    )
    gpu = not wall and data.get("timestamps") == "1"
    settings = Settings(device, options, gpu, rounds, margin / 100)
    outcomes = _tune(workloads, settings)
    _print(outcomes, label, gpu)
    _keep(outcomes, settings)


def _keep(outcomes: list[Outcome], settings: Settings) -> None:
    """Replaces what is kept for these problems."""
    kept = dict(load(settings.device, settings.options).kept)
    for o in outcomes:
        kept.pop(o.problem, None)
        if o.variants:
            kept[o.problem] = Kept(o.variants, f"{o.default_us:.1f} -> {o.best_us:.1f} us")
    store(settings.device, settings.options, kept)
    better = sum(bool(o.variants) for o in outcomes)
    out.print(
        f"{better} of {len(outcomes)} problems have something faster than the default, which later sessions on "
        "this device take",
        highlight=False,
        soft_wrap=True,
    )


def _workload(
    model: Path, contexts: list[int], inputs: Path | None, dims: dict[str, int], seed: int
) -> Workload:
    if model.is_dir() and (model / "genai_config.json").is_file():
        if inputs or dims:
            raise DaybreakError("--inputs and --dim are for ONNX models; this is a model folder")
        return of_folder(model, contexts)
    return of_model(
        onnx_file(model), lambda s: load_feeds(s, inputs) if inputs else random_feeds(s, dims, seed)
    )


def _tune(workloads: list[Workload], settings: Settings) -> list[Outcome]:
    """The outcomes of all workloads; a problem that several of them pose counts in the first."""

    def report(text: str) -> None:
        err.print(text, highlight=False, soft_wrap=True)

    outcomes: dict[str, Outcome] = {}
    for workload in workloads:
        for outcome in tune(workload, settings, report):
            outcomes.setdefault(outcome.problem, outcome)
    return list(outcomes.values())


def _print(outcomes: list[Outcome], label: str, gpu: bool) -> None:
    table = Table("family", "problem", "phase", "default", "best", title=label, title_justify="left")
    clock = "" if gpu else " of the run"
    for column in ("default µs" + clock, "best µs" + clock, "gain"):
        table.add_column(column, justify="right")
    for o in sorted(outcomes, key=lambda o: o.problem):
        name, _, problem = o.problem.partition(" ")
        gain = f"{o.default_us / o.best_us - 1:.1%}" if o.variants else "–"
        best = o.variants.replace(",", " ") or "default"
        table.add_row(
            name, problem, o.phase, o.default, best, f"{o.default_us:.1f}", f"{o.best_us:.1f}", gain
        )
    out.print(table)


def _show(kept: dict[str, Kept], label: str) -> None:
    if not kept:
        out.print(f"{label}: nothing is kept", highlight=False, soft_wrap=True)
        return
    table = Table("family", "problem", "best", "when it was measured", title=label, title_justify="left")
    for problem, k in sorted(kept.items()):
        name, _, rest = problem.partition(" ")
        table.add_row(name, rest, k.variants.replace(",", " "), k.note)
    out.print(table)
