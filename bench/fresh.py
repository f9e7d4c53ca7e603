"""Runs of a model in a fresh process, with everything bound on the device; bench/load.py and bench/cold.py share it.

A language model (input_ids, the past_key_values that belong to it, lengths or an attention mask) gets a prompt and a
static cache; other models get random inputs whose unknown dimensions are 1 unless named.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

NUMPY = {
    "float16": np.float16,
    "float": np.float32,
    "double": np.float64,
    "int64": np.int64,
    "int32": np.int32,
}
NUMPY |= {"uint8": np.uint8, "int8": np.int8, "bool": np.bool_}


def dtype_of(arg: ort.NodeArg) -> type:
    return NUMPY[arg.type.removeprefix("tensor(").removesuffix(")")]


def open_device(library: str) -> ort.OrtEpDevice:
    ort.set_default_logger_severity(3)
    ort.register_execution_provider_library("ep", library)
    devices = [d for d in ort.get_ep_devices() if d.ep_name.startswith(("WebGpu", "Daybreak"))]
    if not devices:
        raise SystemExit(f"{library} reports no device.")
    return devices[0]


def device_of(library: str) -> str:
    """The name of the device, asked in a process of its own."""
    code = f"import fresh; print(fresh.open_device({str(Path(library).resolve())!r}).ep_metadata.get('name', ''))"
    folder = Path(__file__).resolve().parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    return done.stdout.strip() or "a WebGPU device"


def open_session(
    model: str | bytes, device: ort.OrtEpDevice, options: Mapping[str, str]
) -> ort.InferenceSession:
    so = ort.SessionOptions()
    so.log_severity_level = 3
    so.add_provider_for_devices([device], dict(options))
    return ort.InferenceSession(model, so, enable_fallback=0)


class Model:
    """A session and what is bound to it. `capacity`: positions of the cache."""

    def __init__(
        self, session: ort.InferenceSession, device: ort.OrtEpDevice, capacity: int, dims: Mapping[str, int]
    ) -> None:
        self.session, self.dims, self.capacity = session, dims, capacity
        self.place = ("gpu", 0, device.memory_info(ort.OrtDeviceMemoryType.DEFAULT).device_vendor_id)
        self.inputs = {i.name: i for i in session.get_inputs()}
        self.language = "input_ids" in self.inputs
        self.cache = {}
        for name, arg in self.inputs.items():
            if name.startswith("past_key_values."):
                shape = [1, arg.shape[1], capacity, arg.shape[3]]
                self.cache[name] = self.on_device(np.zeros(shape, dtype_of(arg)))

    def on_device(self, value: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(value, *self.place)

    def cache_bytes(self) -> int:
        return sum(v.tensor_size_in_bytes() for v in self.cache.values())

    def input_of(self, name: str, count: int, past: int, rng: np.random.Generator) -> np.ndarray:
        arg = self.inputs[name]
        total = past + count
        known = {
            "input_ids": lambda: rng.integers(0, 1000, (1, count)),
            "attention_mask": lambda: np.ones((1, total)),
            "position_ids": lambda: np.arange(past, total)[None],
            "seqlens_k": lambda: np.array([total - 1]),
            "total_len": lambda: np.array([total]),
            "total_sequence_length": lambda: np.array([total]),
        }
        if name in known:
            return known[name]().astype(dtype_of(arg))
        shape = [d if isinstance(d, int) else self.dims.get(str(d), 1) for d in arg.shape]
        return rng.uniform(0, 1, shape).astype(dtype_of(arg))

    def bind(self, count: int, past: int) -> ort.IOBinding:
        """`count` tokens after `past` ones; outputs stay on the device."""
        rng = np.random.default_rng(0)
        binding = self.session.io_binding()
        for name in self.inputs:
            if name in self.cache:
                binding.bind_ortvalue_input(name, self.cache[name])
            else:
                value = self.input_of(name, count, past, rng)
                scalar = value.size == 1 and self.language and name != "input_ids"
                on_cpu = scalar and not name.startswith("seqlens")
                held = ort.OrtValue.ortvalue_from_numpy(value) if on_cpu else self.on_device(value)
                binding.bind_ortvalue_input(name, held)
        for out in self.session.get_outputs():
            past_name = out.name.replace("present.", "past_key_values.")
            if past_name in self.cache:
                binding.bind_ortvalue_output(out.name, self.cache[past_name])
            elif self.language and isinstance(out.shape[-1], int):
                rows = count if not isinstance(out.shape[1], int) else out.shape[1]
                shape = [1, rows, out.shape[-1]]
                value = ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype_of(out), *self.place)
                binding.bind_ortvalue_output(out.name, value)
            else:
                binding.bind_output(out.name, self.place[0], self.place[1])
        return binding

    def run(self, count: int, past: int = 0) -> float:
        """Seconds from binding to the end of the GPU's work."""
        start = time.perf_counter()
        binding = self.bind(count, past)
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return time.perf_counter() - start


def report(a: argparse.Namespace, script: str, load: float, median: dict[str, Any], rows: Any) -> None:
    """Writes the results of a bench to a.json, where it is given, with what they depend on; `load`: at the start."""
    if a.json is None:
        return
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores ({platform.machine()}), {device_of(a.library)}",
        "load_average": round(load, 1),
        "versions": {"onnxruntime": ort.__version__},
        "library": Path(a.library).name,
        "model": label(a.model),
        "command": f"python bench/{script} " + " ".join(["LIBRARY", a.model.name, *sys.argv[3:]]),
        "median": median,
        "results": rows,
    }
    a.json.write_text(json.dumps(result, indent=1) + "\n")


def data_files(model: Path) -> list[Path]:
    """The model and the files beside it whose names begin like its own: its weights."""
    return sorted(p for p in model.parent.glob(model.stem + "*") if p.suffix != ".json")


def label(model: Path) -> str:
    """What reports call the model: its file's name, or its folder's when all files have the same one."""
    return model.parent.name if model.stem == "model" else model.stem


def key_values(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(",") if pair)
