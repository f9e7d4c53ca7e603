"""Tests in a process of their own, for what a process reads once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run_tests(
    file: str, library: Path, variables: dict[str, str], *arguments: str, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Runs tests/`file` with these environment variables and arguments of pytest, for at most `timeout` s."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/{file}",
        *arguments,
    ]
    environment = os.environ | {"DAYBREAK_LIBRARY": str(library)} | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)


def run_table(
    library: Path, variables: dict[str, str], *arguments: str, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Runs the table of operator cases."""
    return run_tests("test_ops.py", library, variables, *arguments, timeout=timeout)
