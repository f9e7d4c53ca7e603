"""Opens and validates a GGUF file; typed access to its metadata and tensors."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from .errors import ConversionError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MIN_KV_BYTES = 13  # key length (8), empty key, value type (4), smallest value (1)
_MIN_TENSOR_BYTES = 32  # name length, rank, one dimension, type, offset


def _check_header(path: Path) -> None:
    """Rejects what is certainly no readable GGUF before the parser sees it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 4 or head[:4] != _MAGIC:
        raise ConversionError(f"{path} is not a GGUF file (it does not start with 'GGUF')")
    if len(head) < 24:
        raise ConversionError(f"{path} is truncated: the header has {len(head)} of 24 bytes")
    version, tensors, pairs = struct.unpack("<IQQ", head[4:])
    if version not in _VERSIONS:
        if struct.unpack(">I", head[4:8])[0] in _VERSIONS:
            raise ConversionError(f"{path} is a big-endian GGUF file; only little-endian files are read")
        raise ConversionError(f"{path} has GGUF version {version}; versions 2 and 3 are read")
    if tensors * _MIN_TENSOR_BYTES + pairs * _MIN_KV_BYTES > size:
        raise ConversionError(
            f"{path} is truncated or damaged: it announces {tensors} tensors and {pairs} metadata entries "
            f"in {size} bytes"
        )


class GgufSource:
    """A validated GGUF file: metadata by key, tensors by name, mapped and not read until used.

    Tensors that `tensor` hands out are remembered, so that `unused` lists what a conversion ignored.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConversionError(f"{path} does not exist or is not a file")
        _check_header(path)
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
            self._tensors = {t.name: t for t in self._reader.tensors}
        except (
            ValueError,
            IndexError,
            KeyError,
            OverflowError,
            UnicodeDecodeError,
            TypeError,
            MemoryError,
        ) as e:
            raise ConversionError(f"{path} is truncated or damaged: {_one_line(e)}") from e
        self._used: set[str] = set()
        self._check_extents(path.stat().st_size)
        self.architecture: str = self.require("general.architecture", str)

    def _check_extents(self, size: int) -> None:
        for tensor in self._tensors.values():
            end = int(tensor.data_offset) + int(tensor.n_bytes)
            if end > size or tensor.data.nbytes != int(tensor.n_bytes):
                raise ConversionError(
                    f"{self.path} is truncated: tensor '{tensor.name}' ends at byte {end} of {size}"
                )

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a metadata key, or `default`."""
        field = self._reader.fields.get(key)
        if field is None:
            return default
        try:
            return field.contents()
        except (ValueError, IndexError, UnicodeDecodeError) as e:
            raise ConversionError(f"metadata '{key}' cannot be read: {_one_line(e)}") from e

    def require(self, key: str, kind: type) -> Any:
        """The value of a metadata key that has to be there with the given type."""
        value = self.get(key)
        if value is None:
            raise ConversionError(f"{self.path} lacks the metadata '{key}'")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConversionError(f"metadata '{key}' is {value!r}; a value of type {kind.__name__} is needed")
        return value

    def arch(self, key: str, default: Any = None) -> Any:
        """The value of an architecture's own key, e.g. `arch("context_length")` for llama.context_length."""
        return self.get(f"{self.architecture}.{key}", default)

    def require_arch(self, key: str, kind: type) -> Any:
        return self.require(f"{self.architecture}.{key}", kind)

    def has(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor in row-major order: a linear layer's weight is (out, in)."""
        return tuple(int(d) for d in reversed(self.tensor(name).shape))

    def tensor(self, name: str) -> gguf.ReaderTensor:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ConversionError(
                f"{self.path} lacks the tensor '{name}' that {self.architecture} models have"
            )
        self._used.add(name)
        return tensor

    def floats(self, name: str) -> np.ndarray:
        """A small tensor (norm, bias, rotary factors) as f32 in row-major order."""
        tensor = self.tensor(name)
        values: np.ndarray = np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32)
        values = values.reshape(self.shape(name))
        if not np.isfinite(values).all():
            raise ConversionError(f"tensor '{name}' holds values that are not finite")
        return values

    def count(self) -> int:
        """Number of tensors in the file."""
        return len(self._tensors)

    def unused(self) -> list[str]:
        """Names of the tensors that no call of `tensor` has asked for."""
        return sorted(set(self._tensors) - self._used)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
