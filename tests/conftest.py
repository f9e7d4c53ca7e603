"""Registers the plugin once a session and picks the device that tests run on."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnxruntime as ort
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from helpers.run import SUMMARY, Daybreak  # noqa: E402

REGISTRATION = "WebGPU"


def library_path() -> Path:
    """The plugin: DAYBREAK_LIBRARY, else the newest below build/."""
    given = os.environ.get("DAYBREAK_LIBRARY")
    if given:
        return Path(given)
    found = [
        ROOT / "build" / "libonnxruntime_ep_daybreak.so",
        ROOT / "build/release/libonnxruntime_ep_daybreak.so",
    ]
    found = [p for p in found if p.exists()]
    return (
        max(found, key=lambda p: p.stat().st_mtime)
        if found
        else ROOT / "build" / "libonnxruntime_ep_daybreak.so"
    )


def pytest_configure(config: pytest.Config) -> None:
    if "XDG_RUNTIME_DIR" not in os.environ:  # the Vulkan loader complains without it
        os.environ["XDG_RUNTIME_DIR"] = tempfile.gettempdir()
    if "DAYBREAK_SHADER_DUMP" not in os.environ:  # for tests/test_shaders.py
        folder = tempfile.TemporaryDirectory(prefix="daybreak-shaders-")
        config.add_cleanup(folder.cleanup)
        os.environ["DAYBREAK_SHADER_DUMP"] = folder.name
    ort.set_default_logger_severity(4)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def library() -> Path:
    path = library_path()
    if not path.exists():
        pytest.exit(
            f"{path} does not exist: run 'make build', or set DAYBREAK_LIBRARY to the plugin's file.", 3
        )
    return path


@pytest.fixture(scope="session")
def daybreak(library: Path) -> Iterator[Daybreak]:
    """The plugin on its first device, or on device number DAYBREAK_TEST_DEVICE."""
    ort.register_execution_provider_library(REGISTRATION, str(library))
    devices = [
        d for d in ort.get_ep_devices() if d.ep_name not in ("CPUExecutionProvider", "AzureExecutionProvider")
    ]
    if not devices:
        pytest.exit("The plugin found no WebGPU device (see 'daybreak info').", 3)
    device = devices[int(os.environ.get("DAYBREAK_TEST_DEVICE", "0"))]
    yield Daybreak(str(library), device, device.ep_name)
    ort.unregister_execution_provider_library(REGISTRATION)
