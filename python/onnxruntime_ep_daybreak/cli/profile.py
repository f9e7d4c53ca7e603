"""`daybreak profile`: the GPU time of every dispatch of a model, as tables, a trace and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import onnxruntime as ort
import typer
from rich.table import Table

from ..errors import DaybreakError
from ..feeds import load_feeds, random_feeds
from ..library import device_at
from ..profile import Recording, record_folder, record_model
from ..profile.ceilings import Ceilings, measure
from ..profile.events import Kernel, shares
from ..profile.page import phases, write_page
from ..profile.trace import write_trace
from .common import Device, Option, Provider, err, onnx_file, out, parse_pairs, used_device
from .run import Dims, Inputs, Seed, parse_dims


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX model, or a model folder.")],
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Length of the prompt (model folder).")] = 128,
    new_tokens: Annotated[int, typer.Option(min=1, help="Decode steps (model folder).")] = 8,
    runs: Annotated[int, typer.Option("--runs", "-r", min=1, help="Runs (ONNX model).")] = 3,
    inputs: Inputs = None,
    dim: Dims = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="Files get this name and .html, .trace.json.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the table of nodes.")] = 15,
    ceilings: Annotated[bool, typer.Option(help="Measure what the device can do.")] = True,
    device: Device = 0,
    option: Option = None,
) -> None:
    """Show where a model's GPU time goes: by operator, by node, on a timeline and against the roofline."""
    options = parse_pairs(option, "provider options")
    label = used_device(Provider.daybreak, device)
    _check_timestamps(device, label)
    if model.is_dir():
        if inputs or dim:
            raise DaybreakError("--inputs and --dim are for ONNX models; this is a model folder")
        recording = record_folder(model, prompt_tokens, new_tokens, device, options)
    else:
        sizes = parse_dims(dim)
        recording = record_model(
            onnx_file(model),
            lambda s: load_feeds(s, inputs) if inputs else random_feeds(s, sizes, seed),
            runs,
            device,
            options,
        )
    _print_phases(recording, label)
    _print_shares(recording, top)
    roof = measure(device) if ceilings else None
    if roof:
        out.print(_roof_line(roof), highlight=False, soft_wrap=True)
    name = output or Path(f"{model.resolve().name.removesuffix('.onnx')}-profile")
    about = f"{model.resolve().name} · {label} · ONNX Runtime {ort.__version__}"
    trace, page = name.with_name(name.name + ".trace.json"), name.with_name(name.name + ".html")
    name.parent.mkdir(parents=True, exist_ok=True)
    write_trace(recording.profile, label, trace)
    write_page(recording, about, roof, page)
    err.print(f"wrote {trace} (for ui.perfetto.dev) and {page}", highlight=False, soft_wrap=True)


def _check_timestamps(device: int, label: str) -> None:
    if device_at(device).ep_metadata.get("timestamps") != "1":
        raise DaybreakError(f"{label} has no timestamps, so that kernels cannot be timed")


def _print_phases(recording: Recording, label: str) -> None:
    table = Table("phase", title=label, title_justify="left")
    for column in ("runs", "dispatches a run", "wall ms a run", "GPU ms a run", "GPU / wall"):
        table.add_column(column, justify="right")
    for p in phases(recording.profile.runs):
        n = p["runs"]
        wall, busy = p["wall"] / n / 1e3, p["busy"] / n / 1e3
        table.add_row(
            p["name"], str(n), f"{p['count'] / n:.0f}", f"{wall:.2f}", f"{busy:.2f}", f"{busy / wall:.1%}"
        )
    out.print(table)
    busy = sum(run.busy for run in recording.profile.runs) / 1e6
    out.print(
        f"{busy / recording.profiled_seconds:.1%} of the wall time of {recording.profiled_seconds:.3f} s is "
        f"attributed to kernels; without the profiler the same runs take {recording.plain_seconds:.3f} s",
        highlight=False,
        soft_wrap=True,
    )


def _print_shares(recording: Recording, top: int) -> None:
    kernels = [k for run in recording.profile.runs for k in run.kernels]
    total = sum(k.duration for k in kernels)

    def show(title: str, columns: tuple[str, ...], rows: list[tuple[tuple[str, ...], int, float]]) -> None:
        table = Table(*columns, title=title, title_justify="left")
        for column in ("dispatches", "ms", "mean µs", "share"):
            table.add_column(column, justify="right")
        for key, count, time in rows:
            table.add_row(*key, str(count), f"{time / 1e3:.2f}", f"{time / count:.1f}", f"{time / total:.1%}")
        out.print(table)

    def by_operator(k: Kernel) -> tuple[str, ...]:
        return k.op, f"{k.kernel} {k.variant}".rstrip()

    groups = shares(kernels, by_operator)
    show("Time by operator", ("operator", "kernel"), [(g.key, g.count, g.time) for g in groups])
    nodes = shares(kernels, lambda k: (k.node, k.op))
    title = f"Time by node (first {min(top, len(nodes))} of {len(nodes)})"
    show(title, ("node", "operator"), [(g.key, g.count, g.time) for g in nodes[:top]])


def _roof_line(roof: Ceilings) -> str:
    return (
        f"this device: {roof.bytes_per_second / 1e9:.1f} GB/s streaming, "
        f"{roof.flops / 1e12:.3f} TFLOP/s MatMul {roof.dtype}"
    )
