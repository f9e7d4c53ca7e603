"""tools/setup: quick the second time, and strict about what it takes in."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUP = Path("tools/setup/setup.sh")
WHEEL_ROW = re.compile(r"^wheel\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+) -> (\S+)$", re.M)


def setup(root: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / SETUP, *steps], capture_output=True, text=True, timeout=300)


def test_second_run_is_quick_and_silent() -> None:
    start = time.monotonic()
    result = setup(ROOT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.monotonic() - start < 10


def test_files_are_the_pinned_ones() -> None:
    rows = WHEEL_ROW.findall((ROOT / "tools/setup/deps.lock").read_text())
    assert len(rows) >= 4
    for _, _, digest, _, place in rows:
        assert hashlib.sha256((ROOT / ".deps" / place).read_bytes()).hexdigest() == digest, place


def test_unknown_step_names_the_steps() -> None:
    result = setup(ROOT, "nonsense")
    assert result.returncode != 0
    assert "packages, vulkan, headers, python, wheels, runtimes, browser" in result.stderr


@pytest.mark.parametrize("change", ["hash", "member", "version"])
def test_unexpected_download_is_refused(change: str, tmp_path: Path) -> None:
    """A checkout whose lock file disagrees with what the registry serves ends with an error and without the file."""
    shutil.copytree(ROOT / "tools/setup", tmp_path / "tools/setup")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    row = next(r for r in WHEEL_ROW.findall((ROOT / "tools/setup/deps.lock").read_text()) if r[0] == "wgpu")
    name, version, digest, member, place = row
    if change == "hash":
        digest = hashlib.sha256(b"").hexdigest()
    elif change == "member":
        member += ".missing"
    else:
        version = "0.0.0.1"
    (tmp_path / "tools/setup/deps.lock").write_text(f"wheel {name} {version} {digest} {member} -> {place}\n")
    result = setup(tmp_path, "wheels")
    assert result.returncode != 0
    assert name in result.stderr and version in result.stderr
    assert not [path for path in (tmp_path / ".deps/include").rglob("*") if path.is_file()]
