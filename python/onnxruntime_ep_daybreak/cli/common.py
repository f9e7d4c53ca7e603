"""Option types and helpers that the subcommands share."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import onnxruntime as ort
import typer
from rich.console import Console

from ..errors import DaybreakError
from ..library import create_session, device_label, devices

# Tables that go to a file or another program are not squeezed into a terminal's default width.
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)


class Provider(enum.StrEnum):
    """Where a model runs."""

    daybreak = "daybreak"
    cpu = "cpu"


Ep = Annotated[Provider, typer.Option("--ep", help="Execution provider.")]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="Provider option; may be repeated."),
]
Device = Annotated[
    int, typer.Option("--device", "-d", min=0, help="Index of the device, as `daybreak info` lists them.")
]
ModelDir = Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Model folder with a genai_config.json.")]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model, or a model folder.")]


def parse_pairs(pairs: list[str] | None, what: str) -> dict[str, str]:
    """KEY=VALUE strings as a dictionary."""
    result: dict[str, str] = {}
    for pair in pairs or []:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise DaybreakError(f"{what} are written KEY=VALUE; got '{pair}'")
        result[key] = value
    return result


def used_device(ep: Provider, device: int = 0) -> str:
    """The name of the device that a command runs on, for its output."""
    if ep is Provider.cpu:
        return "CPU"
    found = devices()
    return device_label(found[device]) if device < len(found) else "Daybreak"


def short(ep_name: str) -> str:
    """A provider's name as tables show it."""
    return ep_name.removesuffix("ExecutionProvider")


def onnx_file(path: Path) -> Path:
    """The file of an ONNX model; of a model folder, the decoder's."""
    if path.is_dir():
        path = path / "model.onnx"
    if not path.is_file():
        raise DaybreakError(f"{path} does not exist or is not a file")
    return path


def session_for(
    model: Path,
    ep: Provider,
    device: int,
    options: dict[str, str],
    session_options: ort.SessionOptions | None = None,
) -> ort.InferenceSession:
    """A session on the chosen provider."""
    model = onnx_file(model)
    session_options = session_options or ort.SessionOptions()
    if ep is Provider.daybreak:
        return create_session(model, device=device, options=options, session_options=session_options)
    if options:
        raise DaybreakError("provider options can be given for Daybreak only")
    return ort.InferenceSession(model, session_options, providers=["CPUExecutionProvider"])
