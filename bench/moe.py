"""Speed of one QMoE node of gpt-oss-20b's sizes, through any WebGPU plugin.

usage: python bench/moe.py LIBRARY [--tokens 1,8,512] [--experts 32] [--hidden 2880] [--inter 2880] [--json FILE]

Weights are random, 4 bits in blocks of 32, f16 activations, 4 experts a token, interleaved SwiGLU. Runs cycle through
router logits that choose other experts each time, so that weights come from memory and not from a cache. Prints one
line of JSON for each number of tokens: the median time of a run in milliseconds (runs are issued together and waited
for once), the bandwidth of the selected weights (one token), the rate of multiplications, and the largest difference
from the CPU provider, in units of the output's root mean square.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from one_node import Plugin, command_line, seconds_of, write
from onnx import TensorProto, helper, numpy_helper

TOP = 4
BLOCK = 32
ROUTERS = 8  # sets of logits
ATTRIBUTES = {
    "k": TOP,
    "expert_weight_bits": 4,
    "block_size": BLOCK,
    "activation_type": "swiglu",
    "swiglu_fusion": 1,
    "activation_alpha": 1.702,
    "activation_beta": 1.0,
    "swiglu_limit": 7.0,
    "normalize_routing_weights": 1,
}


def model_file(experts: int, hidden: int, inter: int, folder: str) -> str:
    rng = np.random.default_rng(0)

    def weights(name: str, rows: int, k: int) -> list[onnx.TensorProto]:
        scales = rng.uniform(0.2, 1.0, (experts, rows, k // BLOCK)) / np.sqrt(k) / 4
        return [
            numpy_helper.from_array(rng.integers(0, 256, (experts, rows, k // 2), np.uint8), name),
            numpy_helper.from_array(scales.astype(np.float16), name + "_scales"),
            numpy_helper.from_array(rng.standard_normal((experts, rows)).astype(np.float16), name + "_bias"),
        ]

    initialisers = weights("fc1", 2 * inter, hidden) + weights("fc2", hidden, inter)
    names = ["x", "router", *[i.name for i in initialisers]]
    node = helper.make_node("QMoE", names, ["y"], name="moe", domain="com.microsoft", **ATTRIBUTES)
    half = TensorProto.FLOAT16
    graph = helper.make_graph(
        [node],
        "moe",
        [
            helper.make_tensor_value_info("x", half, ["tokens", hidden]),
            helper.make_tensor_value_info("router", half, ["tokens", experts]),
        ],
        [helper.make_tensor_value_info("y", half, ["tokens", hidden])],
        initialisers,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    path = str(Path(folder) / "moe.onnx")
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="moe.data")
    return path


class Node:
    """The session, with inputs and outputs on the device."""

    def __init__(
        self,
        session: ort.InferenceSession,
        place: tuple[str, int, int],
        tokens: int,
        experts: int,
        hidden: int,
    ):
        rng = np.random.default_rng(1)
        self.session = session
        self.x = rng.standard_normal((tokens, hidden)).astype(np.float16)
        self.routers = [rng.standard_normal((tokens, experts)).astype(np.float16) for _ in range(ROUTERS)]
        if tokens == 1:  # disjoint choices
            for i, router in enumerate(self.routers):
                router[0, [(i * TOP + j) % experts for j in range(TOP)]] += np.float16(20)
        on_device = ort.OrtValue.ortvalue_from_numpy(self.x, *place)
        self.outputs, self.bindings, self.keep = [], [], [on_device]
        for router in self.routers:
            value = ort.OrtValue.ortvalue_from_numpy(router, *place)
            output = ort.OrtValue.ortvalue_from_shape_and_type([tokens, hidden], np.float16, *place)
            binding = session.io_binding()
            binding.bind_ortvalue_input("x", on_device)
            binding.bind_ortvalue_input("router", value)
            binding.bind_ortvalue_output("y", output)
            self.outputs.append(output)
            self.bindings.append(binding)
            self.keep.append(value)

    def run(self, count: int) -> float:
        """Seconds of `count` runs."""
        start = time.perf_counter()
        for i in range(count):
            self.session.run_with_iobinding(self.bindings[i % ROUTERS])
        self.outputs[(count - 1) % ROUTERS].numpy()
        return time.perf_counter() - start


def difference(node: Node, path: str) -> float:
    """The largest distance of the first rows from the CPU provider's, by the root mean square."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = slice(0, 16)
    want = session.run(None, {"x": node.x[rows], "router": node.routers[0][rows]})[0].astype(np.float64)
    got = node.outputs[0].numpy()[rows].astype(np.float64)
    return float(np.abs(got - want).max() / np.sqrt(np.mean(want**2)))


def measure(arguments: argparse.Namespace) -> list[dict[str, object]]:
    plugin = Plugin(arguments.library)
    experts, hidden, inter = arguments.experts, arguments.hidden, arguments.inter
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = model_file(experts, hidden, inter, folder)
        session = plugin.session(path)
        for tokens in [int(t) for t in arguments.tokens.split(",")]:
            node = Node(session, plugin.place, tokens, experts, hidden)
            node.run(2 * ROUTERS)
            seconds = seconds_of(node.run, probe=ROUTERS, least=ROUTERS)
            multiplications = tokens * TOP * 3 * inter * hidden
            weights = round(multiplications * (0.5 + 2 / BLOCK) / seconds / 1e9, 1)
            figures = {
                "tokens": tokens,
                "ms": round(seconds * 1e3, 4),
                "weights_gb_s": weights if tokens == 1 else None,
                "tflop_s": round(2 * multiplications / seconds / 1e12, 2),
                "difference": round(difference(node, path), 5),
            }
            results.append(plugin.report(figures))
    return results


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tokens", default="1,8,512")
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=2880)
    parser.add_argument("--inter", type=int, default=2880)
    arguments = parser.parse_args()
    results = measure(arguments)
    write(results, arguments.json)


if __name__ == "__main__":
    main()
