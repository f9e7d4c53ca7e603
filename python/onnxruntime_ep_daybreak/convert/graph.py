"""A small builder of ONNX graphs: nodes by operator, linear layers, norms and embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from .quant import Blocks, Plain, Weight
from .store import TensorStore

MS = "com.microsoft"


class Graph:
    """Collects the nodes, inputs and outputs of a model whose activations have one type."""

    def __init__(self, store: TensorStore, dtype: type[np.floating], accuracy_level: int) -> None:
        self.store = store
        self.dtype = dtype
        self.element = TensorProto.FLOAT16 if dtype is np.float16 else TensorProto.FLOAT
        self.accuracy_level = accuracy_level
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []

    def input(self, name: str, element: int, shape: list[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def output(self, name: str, element: int, shape: list[int | str]) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def node(
        self,
        op: str,
        name: str,
        inputs: list[str],
        outputs: list[str] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Adds a node and returns its first output, `name`/output_0 unless `outputs` says otherwise."""
        outputs = outputs or [f"{name}/output_0"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def ints(self, values: list[int] | int) -> str:
        """An int64 constant, shared between its users."""
        array = np.array(values, np.int64)
        text = "_".join(str(v) for v in array.ravel()).replace("-", "m")
        return self.store.add(f"int64_{array.ndim}d_{text}", array)

    def floats(self, name: str, values: np.ndarray) -> str:
        """A constant in the type of the activations."""
        return self.store.add(name, values.astype(self.dtype))

    def number(self, name: str, value: float) -> str:
        return self.floats(name, np.array(value, np.float64))

    def linear(self, x: str, weight: Weight, name: str, bias: np.ndarray | None = None) -> str:
        """y = x W^T + bias with W [N, K]: MatMulNBits for block-quantised weights, else MatMul and Add."""
        if isinstance(weight, Blocks):
            return self.matmul_nbits(x, weight, name, self.dtype, bias)
        table = self.floats(f"{name}/MatMul.weight", np.ascontiguousarray(weight.values.T))
        y = self.node("MatMul", f"{name}/MatMul", [x, table])
        if bias is None:
            return y
        return self.node("Add", f"{name}/Add", [y, self.floats(f"{name}/Add.bias", bias)])

    def matmul_nbits(
        self,
        x: str,
        weight: Blocks,
        name: str,
        dtype: type[np.floating],
        bias: np.ndarray | None = None,
        outputs: list[str] | None = None,
        data: str | None = None,
    ) -> str:
        """MatMulNBits with x, scales and result in `dtype`; zero points stay f32, which keeps Q4_1 exact."""
        n, blocks = weight.scales.shape
        base = f"{name}/MatMulNBits"
        inputs = [x, data or self.store.add(f"{base}.weight", weight.data)]
        inputs.append(self.store.add(f"{base}.scales", weight.scales.astype(dtype)))
        if weight.zeros is not None:
            inputs.append(self.store.add(f"{base}.zeros", weight.zeros))
        if bias is not None:
            inputs += [""] * (5 - len(inputs)) + [self.store.add(f"{base}.bias", bias.astype(dtype))]
        return self.node(
            "MatMulNBits",
            base,
            inputs,
            outputs,
            MS,
            K=blocks * weight.block,
            N=n,
            bits=weight.bits,
            block_size=weight.block,
            accuracy_level=self.accuracy_level,
        )

    def embed(self, ids: str, table: Weight, name: str) -> str:
        """Rows of the embedding [b, s, hidden]; a tied head can use `name`.weight as well."""
        if isinstance(table, Plain):
            return self.node(
                "Gather", f"{name}/Gather", [self.floats(f"{name}.weight", table.values), ids], axis=0
            )
        data = self.store.add(f"{name}.weight", table.data)
        scales = self.floats(f"{name}.scales", table.scales[..., None])
        rows = self.node(
            "GatherBlockQuantized",
            f"{name}/GatherBlockQuantized",
            [data, ids, scales],
            domain=MS,
            bits=table.bits,
            block_size=table.block,
            gather_axis=0,
            quantize_axis=2,
        )
        hidden = table.scales.shape[1] * table.block
        return self.node("Reshape", f"{name}/Reshape", [rows, self.ints([0, 0, hidden])])

    def norm(self, x: str, weight: np.ndarray, name: str, epsilon: float) -> str:
        """x / rms(x) * weight over the last axis."""
        return self.node(
            "SimplifiedLayerNormalization",
            f"{name}/SimplifiedLayerNormalization",
            [x, self.floats(f"{name}.weight", weight)],
            axis=-1,
            epsilon=epsilon,
            stash_type=1,
        )

    def skip_norm(self, x: str, y: str, weight: np.ndarray, name: str, epsilon: float) -> tuple[str, str]:
        """The norm of x + y, and x + y itself."""
        base = f"{name}/SkipSimplifiedLayerNormalization"
        outputs = [f"{base}/output_0", "", "", f"{base}/output_3"]
        inputs = [x, y, self.floats(f"{name}.weight", weight)]
        self.node("SkipSimplifiedLayerNormalization", base, inputs, outputs, MS, epsilon=epsilon)
        return outputs[0], outputs[3]
