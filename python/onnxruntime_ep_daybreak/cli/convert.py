"""`daybreak convert`: GGUF to ONNX."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import DaybreakError
from .common import err, out


class DType(enum.StrEnum):
    """Type of activations and KV cache."""

    f16 = "f16"
    f32 = "f32"


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.gguf", help="Llama-family model in GGUF.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder to create.")],
    dtype: Annotated[DType, typer.Option(help="Type of activations and KV cache.")] = DType.f16,
    all_logits: Annotated[
        bool, typer.Option("--all-logits", help="Logits of every position, not of the last one only.")
    ] = False,
    separate_qkv: Annotated[
        bool, typer.Option("--separate-qkv", help="Keep the projections of Q, K and V apart.")
    ] = False,
    context: Annotated[int | None, typer.Option(help="Context length, at most the model's own.")] = None,
    accuracy_level: Annotated[
        int, typer.Option(min=0, max=4, help="MatMulNBits accuracy_level; 4 allows int8 activations.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUT_DIR if it exists.")] = False,
) -> None:
    """Convert a GGUF model to an ONNX model folder for onnxruntime-genai."""
    try:
        from ..convert import convert
    except ImportError as e:
        raise DaybreakError(
            f"convert needs the package '{e.name}'; install onnxruntime-ep-daybreak[llm]"
        ) from e

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("tensors", total=None)

        def advance(_name: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = convert(
            model,
            out_dir,
            dtype=dtype.value,
            all_logits=all_logits,
            packed_qkv=not separate_qkv,
            context=context,
            accuracy_level=accuracy_level,
            overwrite=force,
            progress=advance,
        )
    for line in report.lines():
        err.print(line, highlight=False)
    out.print(f"wrote {out_dir}", highlight=False, soft_wrap=True)
