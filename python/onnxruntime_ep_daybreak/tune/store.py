"""What a device can be tuned for, and what is kept for it; the plugin reads and writes it (docs/options.md)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime as ort

from ..library import create_session
from ..onnx_bytes import one_node


@dataclass(frozen=True)
class Kept:
    """The variants of a problem; `note` says for people what they gained."""

    variants: str
    note: str = ""


@dataclass
class State:
    """What a session writes to its tuningFile."""

    choices: dict[str, list[str]] = field(default_factory=dict)  # variants to try, by family
    problems: dict[str, str] = field(default_factory=dict)  # of the last run, and what had a say in each
    kept: dict[str, Kept] = field(default_factory=dict)  # by problem


def parse(text: str) -> State:
    """The state that a tuningFile shows."""
    state = State()
    lines = iter(text.splitlines())
    for line in lines:
        kind, *rest = line.split("\t")
        if kind == "try":
            state.choices.setdefault(rest[0], []).append(rest[1])
        elif kind == "problem":
            state.problems[rest[0]] = rest[1]
        elif kind == "kept":
            break
    for line in lines:
        problem, *rest = line.split("\t")
        if problem and rest and rest[0]:
            state.kept[problem] = Kept(rest[0], rest[1] if len(rest) > 1 else "")
    return state


def family(problem: str) -> str:
    """The family of kernels that a problem's name begins with."""
    return problem.split(" ", 1)[0]


@contextmanager
def watched(options: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
    """Options of a session that writes its state to the file beside them."""
    with tempfile.TemporaryDirectory(prefix="daybreak-tune-") as folder:
        file = Path(folder) / "tuning.tsv"
        yield {**options, "tuningFile": str(file)}, file


def load(device: int, options: Mapping[str, str]) -> State:
    """The state of a device."""
    with watched(options) as (with_file, file):
        _open(device, with_file)
        return parse(file.read_text(encoding="utf-8"))


def store(device: int, options: Mapping[str, str], kept: Mapping[str, Kept]) -> None:
    """Keeps results for a device in place of those before. Errors of the plugin come as they are."""
    with tempfile.TemporaryDirectory(prefix="daybreak-tune-") as folder:
        file = Path(folder) / "kept.tsv"
        lines = [f"{problem}\t{k.variants}\t{k.note}\n" for problem, k in sorted(kept.items())]
        file.write_text("".join(lines), encoding="utf-8")
        _open(device, {**options, "storeTuning": os.fspath(file)})


def _open(device: int, options: Mapping[str, str]) -> None:
    """Creates a session, which does what its options say, and closes it."""
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 3
    create_session(one_node("Neg", 1, [[1]], [1]), device=device, options=options, session_options=quiet)
