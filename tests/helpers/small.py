"""Models of one or two nodes for tests of the machinery, not of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper


def one_node(
    op: str,
    inputs: Sequence[tuple[int, Sequence[Any]]],
    *,
    constants: Sequence[TensorProto] = (),
    domain: str = "",
    opset: int = 21,
    **attrs: Any,
) -> bytes:
    """y = op(x0, x1, ..., constants...), for inputs of these types and shapes."""
    names = [f"x{i}" for i in range(len(inputs))]
    infos = [helper.make_tensor_value_info(n, t, list(s)) for n, (t, s) in zip(names, inputs, strict=True)]
    node = helper.make_node(
        op, [*names, *(c.name for c in constants)], ["y"], name="the_node", domain=domain, **attrs
    )
    graph = helper.make_graph([node], "small", infos, [onnx.ValueInfoProto(name="y")], list(constants))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


def chain(length: int, size: int) -> bytes:
    """y = concat(x, x)[0:size] repeated: nodes that move data, with scratch in between. f32."""
    nodes, previous = [], "x"
    for i in range(length):
        nodes.append(helper.make_node("Concat", [previous, "x"], [f"wide{i}"], name=f"concat{i}", axis=0))
        nodes.append(helper.make_node("Slice", [f"wide{i}", "start", "end"], [f"part{i}"], name=f"slice{i}"))
        previous = f"part{i}"
    nodes.append(helper.make_node("Identity", [previous], ["y"], name="last"))
    constants = [
        helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("start", 1), ("end", size + 1))
    ]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [size]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", info[:1], info[1:], constants)
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    ).SerializeToString()
    return model


def rolled(x: np.ndarray, steps: int) -> np.ndarray:
    """What `chain` computes, for any length of it."""
    y = x
    for _ in range(steps):
        y = np.concatenate([y, x])[1 : x.size + 1]
    return y
