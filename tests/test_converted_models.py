"""Converted models of every architecture and quantisation give on Daybreak what their GGUF files mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Q
from helpers.architectures import ARCHITECTURES, KINDS, convert_model, empty_cache, relative
from helpers.gguf_files import Model
from helpers.reference import Reference
from helpers.run import Daybreak
from helpers.smol import LENGTHS, device_session

RELATIVE = {"f16": 2e-2, "f32": 1e-4}


def logits_on(daybreak: Daybreak, folder: Path, ids: np.ndarray) -> np.ndarray:
    """Logits of all positions: half of them in one run, then a few tokens at once, then one by one."""
    # A head of floating-point weights computes the shape of its logits.
    session = device_session(daybreak, folder, (*LENGTHS, "/lm_head/Shape", "/lm_head/Concat"))
    cache: dict[str, Any] = empty_cache(session, 1)
    parts, done = [], 0
    for steps in (len(ids) // 2, 3, *[1] * (len(ids) - len(ids) // 2 - 3)):
        chunk = ids[None, done : done + steps]
        done += steps
        mask = np.ones((1, done), np.int64)
        logits, *present = session.run(None, {"input_ids": chunk, "attention_mask": mask, **cache})
        cache = dict(zip(cache, present, strict=True))
        parts.append(logits[0])
    return np.concatenate(parts)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name: str, dtype: str, tmp_path: Path, daybreak: Daybreak) -> None:
    model = ARCHITECTURES[name]
    folder = convert_model(model, tmp_path, dtype=dtype, all_logits=True)
    ids = np.random.default_rng(1).integers(0, model.shape.vocab, 23)
    assert relative(logits_on(daybreak, folder, ids), Reference(model).logits(ids)) < RELATIVE[dtype]


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_quantisation(kind: Q, dtype: str, tied: bool, tmp_path: Path, daybreak: Daybreak) -> None:
    model = Model(matrix=kind, embedding=kind, output=None if tied else kind)
    folder = convert_model(model, tmp_path, dtype=dtype, all_logits=True)
    ids = np.random.default_rng(2).integers(0, model.shape.vocab, 17)
    # An embedding with fractional zero points is re-quantised to 8 bits.
    limit = RELATIVE["f16"] if kind in (Q.Q4_1, Q.Q4_K) else RELATIVE[dtype]
    assert relative(logits_on(daybreak, folder, ids), Reference(model).logits(ids)) < limit
