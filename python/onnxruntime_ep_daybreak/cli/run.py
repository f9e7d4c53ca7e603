"""`daybreak run`: one run of an ONNX model, compared with the CPU provider."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from ..errors import DaybreakError
from ..feeds import load_feeds, random_feeds
from ..placement import assigned, counts, recording
from .common import Device, Ep, ModelFile, Option, Provider, out, parse_pairs, session_for, short, used_device

Inputs = Annotated[
    Path | None, typer.Option("--inputs", "-i", help="A .npz file with an array for each input.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=SIZE", help="Size of a free dimension; may be repeated."),
]
Seed = Annotated[int, typer.Option(help="Seed of random inputs.")]


def command(
    model: ModelFile,
    inputs: Inputs = None,
    dim: Dims = None,
    seed: Seed = 0,
    ep: Ep = Provider.daybreak,
    device: Device = 0,
    option: Option = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, help="Fail when an output differs by more, relative to its largest value."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the outputs to this .npz file.")] = None,
) -> None:
    """Run an ONNX model once, show who ran its nodes, and compare the outputs with the CPU provider's."""
    session = session_for(model, ep, device, parse_pairs(option, "provider options"), recording())
    reference = session_for(model, Provider.cpu, 0, {})
    feeds = load_feeds(session, inputs) if inputs else random_feeds(session, parse_dims(dim), seed)
    start = time.perf_counter()
    results = session.run(None, feeds)
    seconds = time.perf_counter() - start
    out.print(f"{used_device(ep, device)}: first run {seconds * 1e3:.1f} ms", highlight=False, soft_wrap=True)
    for name, ops in counts(assigned(session)).items():
        listed = ", ".join(f"{op} {n}" for op, n in ops.most_common())
        out.print(f"{short(name)}: {ops.total()} nodes ({listed})", highlight=False, soft_wrap=True)
    names = [o.name for o in session.get_outputs()]
    worst = _compare(names, results, reference.run(None, feeds))
    if save is not None:
        np.savez(save, **dict(zip(names, results, strict=True)))
    if tolerance is not None and not worst <= tolerance:
        raise DaybreakError(f"the outputs differ by {worst:.2e}, more than {tolerance:.2e}")


def parse_dims(dims: list[str] | None) -> dict[str, int]:
    sizes = parse_pairs(dims, "free dimensions")
    for name, size in sizes.items():
        if not size.isdecimal():
            raise DaybreakError(f"the size of the dimension '{name}' is '{size}'; a whole number is needed")
    return {name: int(size) for name, size in sizes.items()}


def _compare(names: list[str], results: list[np.ndarray], references: list[np.ndarray]) -> float:
    """Prints the difference of each output and returns the largest one."""
    table = Table("output", "type", "shape", "largest value", "difference", "relative")
    worst = 0.0
    for name, result, reference in zip(names, results, references, strict=True):
        difference, peak = difference_of(result, reference)
        relative = difference / peak if peak else difference
        worst = max(worst, relative) if relative == relative else float("inf")
        shape = "x".join(str(n) for n in result.shape) or "scalar"
        table.add_row(name, str(result.dtype), shape, f"{peak:.4g}", f"{difference:.2e}", f"{relative:.2e}")
    out.print(table)
    return worst


def difference_of(result: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Largest absolute difference, infinite where shapes or non-finite values disagree, and the largest
    value.
    """
    if result.shape != reference.shape:
        return float("inf"), 0.0
    if not np.issubdtype(result.dtype, np.number):
        return float((result != reference).any()), 1.0
    a, b = result.astype(np.float64), reference.astype(np.float64)
    odd = ~np.isfinite(b)
    if not np.array_equal(a[odd], b[odd], equal_nan=True) or not np.isfinite(a[~odd]).all():
        return float("inf"), 0.0
    a, b = a[~odd], b[~odd]
    return float(np.abs(a - b).max(initial=0.0)), float(np.abs(b).max(initial=0.0))
