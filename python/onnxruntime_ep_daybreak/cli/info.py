"""`daybreak info`: what is installed and what devices there are."""

from __future__ import annotations

import json
from typing import Annotated, Any

import onnxruntime as ort
import typer
from rich.table import Table

from ..library import device_label, devices, get_ep_name, get_library_path
from .common import out


def command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
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
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for key in ("library", "execution provider", "onnxruntime", "WebGPU"):
        out.print(f"[bold]{key}[/bold]: {facts[key]}", highlight=False, soft_wrap=True)
    if not found:
        out.print("no WebGPU device was found")
    for index, device in enumerate(facts["devices"]):
        table = Table(title=f"device {index}: {device['label']}", title_justify="left", show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for key, value in {**device["metadata"], **device["hardware_metadata"]}.items():
            table.add_row(key, value)
        out.print(table)


def _implementation(found: list[ort.OrtEpDevice]) -> str:
    """The WebGPU implementation that the plugin loaded, and its file."""
    if not found:
        return "none with a device"
    data = found[0].ep_metadata
    return f"{data.get('webgpu_implementation', 'unknown')} ({data.get('webgpu_library', 'unknown file')})"
