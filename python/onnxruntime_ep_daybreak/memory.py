"""What a session uses of its device's memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from .library import create_session

_OPTION = "memoryFile"


def memory(model: Path, device: int = 0, options: Mapping[str, str] | None = None) -> dict[str, int]:
    """Bytes after the session of `model` was created, as docs/options.md describes the option memoryFile."""
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="daybreak-") as folder:
        file = Path(folder) / "memory.json"
        create_session(
            model, device=device, options={**(options or {}), _OPTION: str(file)}, session_options=quiet
        )
        use: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return use
