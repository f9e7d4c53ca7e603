"""Inputs for a model that is run without data of its own: random, or from a .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from .errors import DaybreakError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64,
    "tensor(uint32)": np.uint32,
    "tensor(uint16)": np.uint16,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def random_feeds(session: ort.InferenceSession, dims: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random values for each input: normal for floats, 0 to 9 for integers, ones where the name says mask.

    Free dimensions come from `dims` by their name, else they are 1. Raises DaybreakError for a type without
    random values, and for a name in `dims` that no input has.
    """
    rng = np.random.default_rng(seed)
    known = {d for arg in session.get_inputs() for d in arg.shape if isinstance(d, str)}
    strange = set(dims) - known
    if strange:
        listed = ", ".join(sorted(known)) or "none"
        raise DaybreakError(f"no input has the free dimension '{min(strange)}'; there are: {listed}")
    return {arg.name: _random(arg, dims, rng) for arg in session.get_inputs()}


def _random(arg: Any, dims: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    dtype = _DTYPES.get(arg.type)
    if dtype is None:
        raise DaybreakError(f"input '{arg.name}' has the type {arg.type}; give its values with --inputs")
    shape = [d if isinstance(d, int) else dims.get(d, 1) if d else 1 for d in arg.shape]
    if "mask" in arg.name:
        return np.ones(shape, dtype)
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2 if dtype is np.bool_ else 10, shape).astype(dtype)


def load_feeds(session: ort.InferenceSession, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, checked against the names and types of the model's inputs."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            feeds = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as e:
        raise DaybreakError(f"{path} cannot be read as .npz: {e}") from e
    wanted = {arg.name: arg for arg in session.get_inputs()}
    for name in wanted:
        if name not in feeds:
            raise DaybreakError(f"{path} lacks the input '{name}'; it has: {', '.join(feeds) or 'nothing'}")
    for name, values in feeds.items():
        if name not in wanted:
            raise DaybreakError(f"the model has no input '{name}'; it has: {', '.join(wanted)}")
        dtype = _DTYPES.get(wanted[name].type)
        if dtype is not None and values.dtype != dtype:
            raise DaybreakError(f"input '{name}' is {values.dtype}; the model takes {wanted[name].type}")
    return feeds
