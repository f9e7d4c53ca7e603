"""Speed of one PagedAttention node with rotation and a shared f16 cache, through any WebGPU plugin.

usage: python bench/paged.py LIBRARY [--batches decode,mixed,prompt] [--heads 32] [--kv-heads 8] [--head 128]
                             [--block 16] [--slots] [--json FILE]

A batch is a list of sequences COUNTxNEW+PAST: "64x1+4000" decodes 64 sequences of 4,000 keys. Prints one line of JSON
for each: the median time of a run in milliseconds (runs are issued together and waited for once), the bandwidth of the
keys and values that sequences need, the rate of multiplications of the visible scores and their values, and the largest
difference of the first sequence's last token from float64, in units of the output's root mean square. Blocks of a
sequence are scattered over the cache.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import onnxruntime as ort
from one_node import Plugin, command_line, seconds_of, write
from onnx import TensorProto, helper

BATCHES = {
    "one": "1x1+4000",
    "decode": "64x1+4000",
    "short": "256x1+500",
    "mixed": "63x1+2000,1x1024+0",
    "prompt": "1x4096+0",
    "prompts": "8x512+0",
}
NAMES = ["q", "k", "v", "key_cache", "value_cache", "starts", "pasts", "table", "cos", "sin", "slots"]


def model_of(arguments: argparse.Namespace) -> bytes:
    names = NAMES[: 11 if arguments.slots else 10]
    outputs = ["y", "key_cache_out", "value_cache_out"]
    node = helper.make_node("PagedAttention", names, outputs, name="paged", domain="com.microsoft",
                            num_heads=arguments.heads, kv_num_heads=arguments.kv_heads, do_rotary=1)  # fmt: skip
    rank = {"key_cache": 4, "value_cache": 4, "starts": 1, "pasts": 1, "slots": 1}
    infos = [
        helper.make_tensor_value_info(
            n,
            TensorProto.INT32 if n in {"starts", "pasts", "table", "slots"} else TensorProto.FLOAT16,
            [f"{n}{axis}" for axis in range(rank.get(n, 2))],
        )
        for n in names
    ]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, None) for n in outputs]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "paged", infos, results)
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


class Batch:
    """A session's inputs on the device, and its runs."""

    def __init__(
        self,
        session: ort.InferenceSession,
        place: tuple[str, int, int],
        text: str,
        arguments: argparse.Namespace,
    ) -> None:
        self.session, self.arguments = session, arguments
        rng = np.random.default_rng(1)
        parts = [part.replace("x", "+").split("+") for part in text.split(",")]
        lengths = [(int(new), int(past)) for count, new, past in parts for _ in range(int(count))]
        self.new, self.past = (np.array(column) for column in zip(*lengths, strict=True))
        heads, kv_heads, head, block = arguments.heads, arguments.kv_heads, arguments.head, arguments.block
        tokens, width = int(self.new.sum()), int(-(-(self.new + self.past).max() // block))
        starts = np.concatenate([[0], np.cumsum(self.new)])
        pool = len(lengths) * width
        table = rng.permutation(pool).reshape(-1, width)
        entry = np.repeat(np.arange(len(lengths)), self.new)
        positions = self.past[entry] + np.arange(tokens) - starts[entry]
        slots = table[entry, positions // block] * block + positions % block

        def draw(*shape: int) -> np.ndarray:
            return rng.uniform(-1, 1, shape).astype(np.float16)

        angles = rng.uniform(0, 6, (width * block, head // 2))
        floats = [draw(tokens, n * head) for n in (heads, kv_heads, kv_heads)]
        floats += [draw(pool, block, kv_heads, head) for _ in range(2)]
        ints = [np.asarray(x, np.int32) for x in (starts, self.past, table)]
        turns = [np.cos(angles).astype(np.float16), np.sin(angles).astype(np.float16)]
        self.feeds = dict(zip(NAMES, [*floats, *ints, *turns, np.asarray(slots, np.int32)], strict=True))
        self.values = {
            i.name: ort.OrtValue.ortvalue_from_numpy(self.feeds[i.name], *place) for i in session.get_inputs()
        }
        self.output = ort.OrtValue.ortvalue_from_shape_and_type([tokens, heads * head], np.float16, *place)
        self.binding = session.io_binding()
        for name, value in self.values.items():
            self.binding.bind_ortvalue_input(name, value)
        self.binding.bind_ortvalue_output("y", self.output)
        for name in ("key_cache", "value_cache"):
            self.binding.bind_ortvalue_output(f"{name}_out", self.values[name])

    def run(self, count: int) -> float:
        """Seconds of `count` runs."""
        start = time.perf_counter()
        for _ in range(count):
            self.session.run_with_iobinding(self.binding)
        self.output.numpy()
        return time.perf_counter() - start

    def difference(self) -> float:
        """How far the last token of the first sequence is from float64, over the caches that the runs left."""
        arguments, feeds = self.arguments, self.feeds
        length, last = int(self.new[0] + self.past[0]), int(self.new[0]) - 1
        keys, values = (
            self.values[name]
            .numpy()[feeds["table"][0]]
            .reshape(-1, arguments.kv_heads, arguments.head)[:length]
            for name in ("key_cache", "value_cache")
        )
        cos, sin = (feeds[name][length - 1].astype(np.float64) for name in ("cos", "sin"))
        a, b = np.split(feeds["q"][last].astype(np.float64).reshape(arguments.heads, -1), 2, axis=1)
        query = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)
        want = np.zeros_like(query)
        for h in range(arguments.heads):
            group = h // (arguments.heads // arguments.kv_heads)
            scores = keys[:, group].astype(np.float64) @ query[h] / np.sqrt(arguments.head)
            shares = np.exp(scores - scores.max())
            want[h] = shares / shares.sum() @ values[:, group].astype(np.float64)
        got = self.output.numpy()[last].astype(np.float64).reshape(want.shape)
        return float(np.abs(got - want).max() / np.sqrt(np.mean(want**2)))


def measure(arguments: argparse.Namespace) -> list[dict[str, object]]:
    plugin = Plugin(arguments.library)
    session = plugin.session(model_of(arguments))
    results: list[dict[str, object]] = []
    for name in arguments.batches.split(":" if "x" in arguments.batches else ","):
        batch = Batch(session, plugin.place, BATCHES.get(name, name), arguments)
        batch.run(3)
        seconds = seconds_of(batch.run, probe=3, least=3)
        new, past = batch.new.astype(float), batch.past.astype(float)
        read = float((new + past).sum()) * 2 * arguments.kv_heads * arguments.head * 2
        products = float((new * (past + (new + 1) / 2)).sum()) * arguments.heads * arguments.head * 2
        figures = {
            "batch": BATCHES.get(name, name),
            "ms": round(seconds * 1e3, 4),
            "gb_s": round(read / seconds / 1e9, 1),
            "tflop_s": round(2 * products / seconds / 1e12, 2),
            "difference": round(batch.difference(), 5),
        }
        results.append(plugin.report(figures))
    return results


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batches", default=",".join(BATCHES), help="names, or batches separated by colons")
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head", type=int, default=128)
    parser.add_argument("--block", type=int, default=16)
    parser.add_argument(
        "--slots", action="store_true", help="with slot_mapping: append in a dispatch of its own"
    )
    arguments = parser.parse_args()
    results = measure(arguments)
    write(results, arguments.json)


if __name__ == "__main__":
    main()
