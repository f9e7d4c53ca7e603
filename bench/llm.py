"""Prefill and decode speed of a decoder with random 4-bit weights, through any WebGPU plugin.

usage: python bench/llm.py LIBRARY [--size 135m|1b] [--capture] [--prompt 512] [--new 128] [--options k=v,...]

Prints one line of JSON: tokens/s of the prompt, and of decode with the logits read back and the next token chosen on
the CPU (median over the tokens after the first eight). The KV cache is static and stays on the device. Two libraries
are compared by running this twice on one quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from helpers.llm import Config, build

SIZES = {
    "135m": Config(30, 576, 9, 3, 64, 1536, 49152, 2048),
    "1b": Config(16, 2048, 32, 8, 64, 8192, 128256, 8192),
}


def model_file(size: str, folder: str) -> str:
    """The model with its weights beside it, so that the file is mapped as users' models are."""
    path = str(Path(folder) / f"{size}.onnx")
    model = onnx.load_from_string(build(SIZES[size], np.float16, accuracy_level=4))
    onnx.save(model, path, save_as_external_data=True, location=f"{size}.data")
    return path


class Loop:
    """One sequence with a static cache of `capacity` positions on the device."""

    def __init__(self, session: ort.InferenceSession, config: Config, device: ort.OrtEpDevice, capacity: int):
        self.session, self.config = session, config
        memory = device.memory_info(ort.OrtDeviceMemoryType.DEFAULT)
        self.place = ("gpu", 0, memory.device_vendor_id)
        zeros = np.zeros((1, config.kv_heads, capacity, config.head_dim), np.float16)
        names = [f"{layer}.{kind}" for layer in range(config.layers) for kind in ("key", "value")]
        self.cache = {name: ort.OrtValue.ortvalue_from_numpy(zeros, *self.place) for name in names}

    def value(self, data: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(data, *self.place)

    def bind(self, count: int) -> ort.IOBinding:
        """Inputs of `count` tokens at fixed addresses, as capture wants them."""
        self.inputs = {
            "input_ids": self.value(np.zeros((1, count), np.int64)),
            "seqlens_k": self.value(np.zeros(1, np.int32)),
            "total_len": self.value(np.zeros(1, np.int32)),
        }
        self.logits = ort.OrtValue.ortvalue_from_shape_and_type(
            [1, count, self.config.vocab], np.float16, *self.place
        )
        binding = self.session.io_binding()
        for name, value in self.inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self.cache.items():
            binding.bind_ortvalue_input("past_key_values." + name, value)
            binding.bind_ortvalue_output("present." + name, value)
        binding.bind_ortvalue_output("logits", self.logits)
        return binding

    def run(self, binding: ort.IOBinding, ids: np.ndarray, total: int, options: ort.RunOptions) -> None:
        self.inputs["input_ids"].update_inplace(ids)
        self.inputs["seqlens_k"].update_inplace(np.array([total - 1], np.int32))
        self.inputs["total_len"].update_inplace(np.array([total], np.int32))
        self.session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    ort.set_default_logger_severity(3)
    ort.register_execution_provider_library("bench", arguments.library)
    device = next(d for d in ort.get_ep_devices() if d.ep_name != "CPUExecutionProvider")
    options = dict(pair.split("=", 1) for pair in arguments.options.split(",") if pair)
    if arguments.capture:
        options["enableGraphCapture"] = "1"
    session_options = ort.SessionOptions()
    session_options.add_provider_for_devices([device], options)
    with tempfile.TemporaryDirectory() as folder:
        path = model_file(arguments.size, folder)
        start = time.perf_counter()
        session = ort.InferenceSession(path, session_options)
        load = time.perf_counter() - start
    loop = Loop(session, SIZES[arguments.size], device, arguments.prompt + arguments.new)

    plain = ort.RunOptions()
    plain.add_run_config_entry("gpu_graph_id", "-1")
    prompt = np.random.default_rng(1).integers(0, SIZES[arguments.size].vocab, (1, arguments.prompt))
    binding, prefill = loop.bind(arguments.prompt), []
    for _ in range(4):
        start = time.perf_counter()
        loop.run(binding, prompt, arguments.prompt, plain)
        prefill.append(time.perf_counter() - start)

    run_options, binding, decode = ort.RunOptions(), loop.bind(1), []
    token = 0
    for total in range(arguments.prompt + 1, arguments.prompt + arguments.new + 1):
        start = time.perf_counter()
        loop.run(binding, np.array([[token]], np.int64), total, run_options)
        token = int(loop.logits.numpy()[0, -1].astype(np.float32).argmax())
        decode.append(time.perf_counter() - start)
    return {
        "size": arguments.size,
        "library": Path(arguments.library).name,
        "device": device.ep_metadata.get("name", ""),
        "capture": arguments.capture,
        "load_s": round(load, 2),
        "first_prefill_s": round(prefill[0], 3),
        "prefill_tokens_s": round(arguments.prompt / min(prefill[1:])),
        "decode_tokens_s": round(1 / statistics.median(decode[8:]), 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--capture", action="store_true")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--options", default="")
    print(json.dumps(measure(parser.parse_args())))
