"""Initialisers of the model under construction: large ones are streamed to the external data file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DATA_FILE = "model.onnx.data"
_INLINE_BYTES = 1024
_PAGE = 4096


class TensorStore:
    """Writes each array once; arrays of a page and more start at a page, so that ORT can map them."""

    def __init__(self, folder: Path) -> None:
        self.initializers: list[TensorProto] = []
        self._names: set[str] = set()
        self._file = (folder / DATA_FILE).open("wb")

    def add(self, name: str, values: np.ndarray) -> str:
        """Stores an initialiser and returns its name; a name that is there already is left as it is."""
        if name in self._names:
            return name
        self._names.add(name)
        values = np.ascontiguousarray(values)
        if values.nbytes < _INLINE_BYTES:
            self.initializers.append(numpy_helper.from_array(values, name))
            return name
        align = _PAGE if values.nbytes >= _PAGE else 64
        offset = -(-self._file.tell() // align) * align
        self._file.seek(offset)
        self._file.write(values.data)
        self.initializers.append(_external(name, values, offset))
        return name

    def close(self) -> None:
        """Flushes the data file to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def _external(name: str, values: np.ndarray, offset: int) -> TensorProto:
    tensor = TensorProto(
        name=name, data_type=helper.np_dtype_to_tensor_dtype(values.dtype), dims=values.shape
    )
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", offset), ("length", values.nbytes)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return tensor
