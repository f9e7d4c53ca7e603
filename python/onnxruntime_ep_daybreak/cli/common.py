"""Option types and helpers that the subcommands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import onnxruntime as ort
import typer
from rich.console import Console

from ..errors import DaybreakError
from ..library import devices, is_software

out = Console()
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
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model.")]


def parse_pairs(pairs: list[str] | None, what: str) -> dict[str, str]:
    """KEY=VALUE strings as a dictionary."""
    result: dict[str, str] = {}
    for pair in pairs or []:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise DaybreakError(f"{what} are written KEY=VALUE; got '{pair}'")
        result[key] = value
    return result


def device_label(device: ort.OrtEpDevice) -> str:
    """One line that names a device, e.g. "llvmpipe (Vulkan, software)"."""
    data: dict[str, Any] = device.ep_metadata
    name = data.get("name") or data.get("adapter") or device.device.vendor or "device"
    details = [data[k] for k in ("backend",) if data.get(k)]
    if is_software(device):
        details.append("software")
    return f"{name} ({', '.join(details)})" if details else str(name)


def used_device(ep: Provider, device: int = 0) -> str:
    """The name of the device that a command runs on, for its output."""
    if ep is Provider.cpu:
        return "CPU"
    found = devices()
    return device_label(found[device]) if device < len(found) else "Daybreak"


def require_file(path: Path) -> None:
    if not path.is_file():
        raise DaybreakError(f"{path} does not exist or is not a file")


def session_for(
    model: Path,
    ep: Provider,
    device: int,
    options: dict[str, str],
    session_options: ort.SessionOptions | None = None,
) -> ort.InferenceSession:
    """A session on the chosen provider."""
    from ..library import create_session

    require_file(model)
    session_options = session_options or ort.SessionOptions()
    if ep is Provider.daybreak:
        return create_session(model, device=device, options=options, session_options=session_options)
    if options:
        raise DaybreakError("provider options can be given for Daybreak only")
    return ort.InferenceSession(model, session_options, providers=["CPUExecutionProvider"])
