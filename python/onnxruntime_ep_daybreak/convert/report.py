"""What a conversion did to the weights: which types were kept, and the error of those that were not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .quant import Blocks, Plain, Weight

_CHUNK_ROWS = 4096


@dataclass
class TypeReport:
    """All tensors of one GGUF type: how many, and the worst error relative to a tensor's largest value."""

    tensors: int = 0
    changed: int = 0
    requantised: int = 0
    max_error: float = 0.0

    def line(self, name: str) -> str:
        if not self.changed:
            return f"{name}: {self.tensors} tensors, values kept"
        how = f"{self.requantised} of them re-quantised to 8 bits, " if self.requantised else ""
        return f"{name}: {self.tensors} tensors, {how}largest error {self.max_error:.1e} of the largest value"


@dataclass
class Report:
    """Errors by GGUF type, and notes about the model as a whole."""

    types: dict[str, TypeReport] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def record(self, kind: str, error: float, *, requantised: bool) -> None:
        """Adds one tensor of a GGUF type with the relative error of what the model stores."""
        entry = self.types.setdefault(kind, TypeReport())
        entry.tensors += 1
        entry.requantised += requantised
        if error > 0:
            entry.changed += 1
            entry.max_error = max(entry.max_error, error)

    def lines(self) -> list[str]:
        return [self.types[name].line(name) for name in sorted(self.types)] + self.notes


def relative_error(truth: Weight, kept: Weight) -> float:
    """Largest difference between the file's values and the stored ones over the largest value."""
    if kept is truth:
        return 0.0
    worst = peak = 0.0
    rows = len(truth.values if isinstance(truth, Plain) else truth.data)
    for start in range(0, rows, _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        want = _values(truth.rows(part))
        worst = max(worst, float(np.abs(want - _values(kept.rows(part))).max(initial=0.0)))
        peak = max(peak, float(np.abs(want).max(initial=0.0)))
    return worst / peak if peak else worst


def _values(weight: Weight) -> np.ndarray:
    return weight.dequantize() if isinstance(weight, Blocks) else weight.values.astype(np.float32)
