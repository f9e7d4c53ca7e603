"""What a conversion did to the weights: which types were kept, and the error of those that were not."""

from __future__ import annotations

from dataclasses import dataclass, field

import gguf
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

    def record(self, tensor: gguf.ReaderTensor, kept: Weight, *, requantised: bool) -> None:
        """Adds one tensor; `kept` is what the model stores, in the tensor's own row order."""
        entry = self.types.setdefault(tensor.tensor_type.name, TypeReport())
        entry.tensors += 1
        error = relative_error(tensor, kept)
        entry.requantised += requantised
        # An f32 zero point reproduces an offset to f32 rounding, which counts as kept.
        if error > 2e-7:
            entry.changed += 1
            entry.max_error = max(entry.max_error, error)

    def lines(self) -> list[str]:
        return [self.types[name].line(name) for name in sorted(self.types)] + self.notes


def relative_error(tensor: gguf.ReaderTensor, kept: Weight) -> float:
    """Largest difference between the file's values and the stored ones over the largest value."""
    worst = peak = 0.0
    for start in range(0, tensor.data.shape[0], _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        truth = gguf.dequantize(np.asarray(tensor.data[rows]), tensor.tensor_type).astype(np.float32)
        values = _values(kept.rows(rows))
        worst = max(worst, float(np.abs(truth - values).max(initial=0.0)))
        peak = max(peak, float(np.abs(truth).max(initial=0.0)))
    return worst / peak if peak else worst


def _values(weight: Weight) -> np.ndarray:
    match weight:
        case Plain():
            return weight.values.astype(np.float32)
        case Blocks():
            return weight.dequantize()
