"""SmolLM2 as the tests run it: converted once a session, decoded step by step, and its logits on the CPU EP."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime_ep_daybreak.convert import convert
from tokenizers import Tokenizer

from .run import Daybreak

DTYPES: dict[str, type[Any]] = {"f16": np.float16, "f32": np.float32}
RECORD = "session.record_ep_graph_assignment_info"

# What only computes with lengths: ONNX Runtime's own providers leave it on the CPU, too.
LENGTHS = ("/model/mask/", "/model/last_position/")


class Models:
    """Model folders and sessions in every form that a test asks for, each made when it is first needed."""

    def __init__(self, gguf: Path, folder: Path) -> None:
        self.gguf, self.folder = gguf, folder
        self.cpu: dict[str, ort.InferenceSession] = {}
        self.device: dict[Path, ort.InferenceSession] = {}

    def path(self, dtype: str, *, all_logits: bool = False, packed: bool = True) -> Path:
        path = self.folder / f"{dtype}-{'all' if all_logits else 'last'}-{'packed' if packed else 'separate'}"
        if not path.exists():
            convert(self.gguf, path, dtype=dtype, all_logits=all_logits, packed_qkv=packed, context=512)
        return path

    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.path("f16") / "tokenizer.json"))

    def on_cpu(self, dtype: str) -> ort.InferenceSession:
        """The model with the logits of every position, for references."""
        if dtype not in self.cpu:
            path = self.path(dtype, all_logits=True) / "model.onnx"
            self.cpu[dtype] = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        return self.cpu[dtype]

    def on_device(self, daybreak: Daybreak, dtype: str, **form: bool) -> ort.InferenceSession:
        """A session on Daybreak, all compute nodes of which are there."""
        path = self.path(dtype, **form)
        if path not in self.device:
            self.device[path] = device_session(daybreak, path)
        return self.device[path]


def device_session(
    daybreak: Daybreak, path: Path, lengths: tuple[str, ...] = LENGTHS
) -> ort.InferenceSession:
    """The model of a folder on Daybreak, with all nodes but those whose names begin as in `lengths`."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(RECORD, "1")
    options.add_provider_for_devices([daybreak.device], {})
    session = ort.InferenceSession(path / "model.onnx", options)
    session.disable_fallback()
    left = [
        f"{node.op_type} {node.name}"
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
        if part.ep_name != daybreak.ep_name
        and (not node.name.startswith(lengths) or node.op_type == "GatherND")
    ]
    assert not left, f"compute nodes on the CPU: {left[:10]}"
    return session


def reference(session: ort.InferenceSession, ids: list[int]) -> np.ndarray:
    """Logits [s, vocabulary] of one sequence, in one run without a past."""
    tokens = np.array([ids], np.int64)
    feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    feeds.update({name: np.zeros(shape, dtype) for name, shape, dtype in past_inputs(session, 1, 0)})
    return np.asarray(session.run(["logits"], feeds)[0])[0]


def past_inputs(
    session: ort.InferenceSession, batch: int, length: int
) -> list[tuple[str, list[int], type[Any]]]:
    """Name, shape and type of each input of the KV cache."""
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return [
        (arg.name, [batch, arg.shape[1], length, arg.shape[3]], types[arg.type])
        for arg in session.get_inputs()
        if arg.name.startswith("past_key_values")
    ]


@dataclasses.dataclass
class Decoder:
    """Decodes rows of a batch; `memory` holds a static cache of `capacity` tokens, None a growing one in
    host memory.
    """

    session: ort.InferenceSession
    batch: int
    memory: tuple[str, int, int] | None = None
    capacity: int = 256

    def __post_init__(self) -> None:
        self.mask = np.zeros((self.batch, 0), np.int64)
        length = self.capacity if self.memory else 0
        # What no token has filled yet may hold anything.
        empty = {name: np.full(s, np.nan, t) for name, s, t in past_inputs(self.session, self.batch, length)}
        device = self.memory or ("cpu", 0, -1)
        self.cache = {name: ort.OrtValue.ortvalue_from_numpy(x, *device) for name, x in empty.items()}

    def step(self, ids: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Logits [b, vocabulary] of the last valid token of each row, for new tokens [b, s] padded on the right."""
        steps = ids.shape[1]
        lengths = np.full(self.batch, steps) if valid is None else valid
        new = (np.arange(steps) < lengths[:, None]).astype(np.int64)
        self.mask = np.concatenate([self.mask, new], axis=1)
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", self.mask)
        binding.bind_output("logits", "cpu")
        for name, value in self.cache.items():
            binding.bind_ortvalue_input(name, value)
            present = name.replace("past_key_values", "present")
            if self.memory:
                binding.bind_ortvalue_output(present, value)
            else:
                binding.bind_output(present, "cpu")
        self.session.run_with_iobinding(binding)
        outputs = dict(zip((o.name for o in self.session.get_outputs()), binding.get_outputs(), strict=True))
        if not self.memory:
            self.cache = {n: outputs[n.replace("past_key_values", "present")] for n in self.cache}
        return np.asarray(outputs["logits"].numpy()).reshape(self.batch, -1)


def greedy(decoder: Decoder, prompt: list[int], count: int) -> tuple[list[int], np.ndarray]:
    """`count` most probable tokens after a prompt, and the logits [count, vocabulary] that they come from."""
    logits = [decoder.step(np.array([prompt], np.int64))[0]]
    tokens = [int(logits[0].argmax())]
    while len(tokens) < count:
        logits.append(decoder.step(np.array([[tokens[-1]]], np.int64))[0])
        tokens.append(int(logits[-1].argmax()))
    return tokens, np.stack(logits)
