"""Runs Python code with the plugin in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run_python(code: str, library: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own; LIBRARY, ort, np and chain() are defined in it."""
    start = f"""
        import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
        import numpy as np, onnxruntime as ort
        from helpers.small import chain
        LIBRARY = {str(library)!r}
        ort.set_default_logger_severity(4)
        def session(model, options={{}}):
            device = [d for d in ort.get_ep_devices() if "CPU" not in d.ep_name and "Azure" not in d.ep_name][0]
            so = ort.SessionOptions()
            so.log_severity_level = 4
            so.add_provider_for_devices([device], options)
            so.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            return ort.InferenceSession(model, so)
    """
    text = textwrap.dedent(start) + textwrap.dedent(code)
    environ = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=120, env=environ
    )


def resident() -> int:
    """Bytes of this process in memory; a software device's memory is part of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
