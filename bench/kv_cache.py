"""Speed of one GroupQueryAttention node over a shared cache of f16, 8 and 4 bits, through any WebGPU plugin.

usage: python bench/kv_cache.py LIBRARY [--bits 0,8,4] [--cases 1+1000,1+8000,1+32000,4096+0] [--batch 1] [--heads 32]
                                [--kv-heads 8] [--head 64] [--json FILE]

A case is NEW+PAST tokens; the past is appended by the node itself, in one run. Prints one line of JSON for each: the
median time of a run in milliseconds (runs are issued together and waited for once), the bandwidth of the cache's bytes
that it needs, and the root mean square of the output's difference from that with the first of the widths, relative to
that output's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import onnxruntime as ort
from one_node import Plugin, command_line, seconds_of, write
from onnx import TensorProto, helper

F16 = TensorProto.FLOAT16


def model_of(arguments: argparse.Namespace) -> bytes:
    cache = (F16, ["batch", arguments.kv_heads, "past", "row"])
    widths = (arguments.heads, arguments.kv_heads, arguments.kv_heads)
    types = [(F16, ["batch", "seq", n * arguments.head]) for n in widths] + [cache, cache]
    types += [(TensorProto.INT32, ["batch"]), (TensorProto.INT32, [1])]
    inputs = [helper.make_tensor_value_info(f"x{i}", *x) for i, x in enumerate(types)]
    outputs = [helper.make_tensor_value_info(f"y{i}", F16, None) for i in range(3)]
    node = helper.make_node("GroupQueryAttention", [i.name for i in inputs], [o.name for o in outputs],
                            name="attention", domain="com.microsoft", num_heads=arguments.heads,
                            kv_num_heads=arguments.kv_heads)  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "attention", inputs, outputs)
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


class Bench:
    """Sessions of one device, one for each width."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.plugin = Plugin(arguments.library)
        self.place = self.plugin.place

    def bind(self, session: ort.InferenceSession, new: int, total: int, caches: list[ort.OrtValue],
             rng: np.random.Generator) -> tuple[ort.IOBinding, ort.OrtValue]:  # fmt: skip
        """A run of `new` random tokens that end at `total`, and its output."""
        a, binding = self.arguments, session.io_binding()
        draws = [
            rng.standard_normal((a.batch, new, n * a.head)).astype(np.float16)
            for n in (a.heads, a.kv_heads, a.kv_heads)
        ]
        values = [ort.OrtValue.ortvalue_from_numpy(x, *self.place) for x in draws] + caches
        lengths = np.full(a.batch, total - 1, np.int32)
        values.append(ort.OrtValue.ortvalue_from_numpy(lengths, *self.place))
        for i, value in enumerate(values):
            binding.bind_ortvalue_input(f"x{i}", value)
        binding.bind_cpu_input("x6", np.array([total], np.int32))
        output = ort.OrtValue.ortvalue_from_shape_and_type(list(draws[0].shape), np.float16, *self.place)
        for i, value in enumerate([output, *caches]):
            binding.bind_ortvalue_output(f"y{i}", value)
        return binding, output

    def measure(self, bits: int, case: str) -> tuple[dict[str, object], np.ndarray]:
        a, rng = self.arguments, np.random.default_rng(1)
        session = self.plugin.session(model_of(a), {"kvCacheQuantizationBits": str(bits)})
        new, past = map(int, case.split("+"))
        row = (a.head * bits + 32) // 16 if bits else a.head
        empty = np.zeros((a.batch, a.kv_heads, past + new, row), np.float16)
        caches = [ort.OrtValue.ortvalue_from_numpy(empty, *self.place) for _ in range(2)]
        if past:
            session.run_with_iobinding(self.bind(session, past, past, caches, rng)[0])
        binding, output = self.bind(session, new, past + new, caches, rng)

        def run(count: int) -> float:
            start = time.perf_counter()
            for _ in range(count):
                session.run_with_iobinding(binding)
            output.numpy()
            return time.perf_counter() - start

        run(3)
        seconds = seconds_of(run, probe=2, least=1, budget=0.3)
        read = 2 * empty.nbytes
        result = {
            "bits": bits or 16,
            "case": case,
            "ms": round(seconds * 1e3, 4),
            "gb_s": round(read / seconds / 1e9, 1),
        }
        return result, output.numpy().astype(np.float64)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--bits", default="0,8,4")
    parser.add_argument("--cases", default="1+1000,1+8000,1+32000,4096+0")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head", type=int, default=64)
    arguments = parser.parse_args()
    bench, results = Bench(arguments), []
    for case in arguments.cases.split(","):
        first: np.ndarray | None = None
        for bits in map(int, arguments.bits.split(",")):
            result, output = bench.measure(bits, case)
            first = output if first is None else first
            result["difference"] = round(
                float(np.sqrt(np.mean((output - first) ** 2) / np.mean(first**2))), 5
            )
            results.append(bench.plugin.report(result))
    write(results, arguments.json)


if __name__ == "__main__":
    main()
