"""`daybreak info`: what is installed and what devices there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import onnxruntime as ort
import typer
from rich.table import Table

from ..library import device_label, devices, get_ep_name, get_library_path
from ..memory import memory
from .common import Device, Option, onnx_file, out, parse_pairs


def command(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL.onnx]", help="Show the GPU memory that its session takes."),
    ] = None,
    device: Device = 0,
    option: Option = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the library, the WebGPU implementation, the devices and ONNX Runtime's version."""
    path = get_library_path()
    found = devices()
    facts: dict[str, Any] = {
        "library": path,
        "execution provider": get_ep_name(),
        "onnxruntime": ort.__version__,
        "WebGPU": _implementation(found),
        "devices": [
            {
                "label": device_label(d),
                "ep_name": d.ep_name,
                "ep_vendor": d.ep_vendor,
                "hardware_vendor": d.device.vendor,
                "vendor_id": d.device.vendor_id,
                "device_id": d.device.device_id,
                "metadata": dict(sorted(d.ep_metadata.items())),
                "hardware_metadata": dict(sorted(d.device.metadata.items())),
            }
            for d in found
        ],
    }
    if model is not None:
        facts["memory"] = memory(onnx_file(model), device, parse_pairs(option, "provider options"))
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for key in ("library", "execution provider", "onnxruntime", "WebGPU"):
        out.print(f"[bold]{key}[/bold]: {facts[key]}", highlight=False, soft_wrap=True)
    if not found:
        out.print("no WebGPU device was found")
    for index, one in enumerate(facts["devices"]):
        rows = {**one["metadata"], **one["hardware_metadata"]}
        out.print(_table(f"device {index}: {one['label']}", rows))
    if model is not None:
        rows = {key: f"{value:,}" for key, value in facts["memory"].items()}
        out.print(_table(f"GPU memory of {model.name} in bytes", rows))


def _table(title: str, rows: dict[str, str]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _implementation(found: list[ort.OrtEpDevice]) -> str:
    """The WebGPU implementation that the plugin loaded, and its file."""
    if not found:
        return "none with a device"
    data = found[0].ep_metadata
    return f"{data.get('webgpu_implementation', 'unknown')} ({data.get('webgpu_library', 'unknown file')})"
