"""Cases of the table with an attribute, a dimension or a value changed: a wrong node is an error, never a crash.

Where the CPU EP accepts the mutant and the plugin takes it, both must agree. DAYBREAK_TEST_SEED gives other mutants,
DAYBREAK_TEST_MUTANTS another number of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COUNT = int(os.environ.get("DAYBREAK_TEST_MUTANTS", "1000"))


def run_mutants(library: Path, first: int, count: int) -> tuple[list[str], int]:
    """Problems found by one process, and the mutant to go on with (after one that crashed)."""
    command = [sys.executable, str(ROOT / "tests/helpers/fuzz.py"), str(library), str(first), str(count)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    problems, mutant, index = [], "before the first mutant", first
    lines = result.stdout.splitlines()
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "START":
            number, _, mutant = rest.partition(" ")
            index = int(number)
        elif kind == "WRONG":
            problems.append(f"{index}: {mutant}: {rest}")
    if lines and lines[-1] == "END":
        return problems, first + count
    return [*problems, f"{index}: {mutant}: the process ends with {result.returncode}"], index + 1


def test_mutants(library: Path) -> None:
    problems: list[str] = []
    first = 0
    while first < COUNT and len(problems) < 40:
        found, first = run_mutants(library, first, COUNT - first)
        problems += found
    if problems:
        pytest.fail(f"{len(problems)} of {first} mutants:\n" + "\n".join(problems), pytrace=False)
