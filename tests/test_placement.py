"""Which nodes the EP takes, and what it says about the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from helpers.process import run_python
from helpers.run import Daybreak, cpu_session


def parse(text: str, opset: int = 21) -> bytes:
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    model: bytes = onnx.parser.parse_model(header + text).SerializeToString()
    return model


def placed(daybreak: Daybreak, model: bytes, options: dict[str, str] | None = None) -> dict[str, str]:
    """By node: "" when the EP takes it, else the reason."""
    lines = daybreak.explain(model, options)
    for line in lines:
        assert (line["ep"] == daybreak.ep_name) == (line["reason"] == ""), line
    return {line["node"]: line["reason"] for line in lines}


def test_an_operator_without_a_kernel(daybreak: Daybreak) -> None:
    text = """
    g (float[2, 2] x, string[3] s) => (float y, string[3] t) {
      [det] y = Det (x)
      [strings] t = StringNormalizer (s)
    }"""
    reasons = placed(daybreak, parse(text))
    assert reasons["det"] == "no kernel for this operator"
    assert reasons["strings"] == "no kernel for this operator"


def test_a_type_without_a_kernel(daybreak: Daybreak) -> None:
    layer_norm = """
    g (bfloat16[2, 4] x, bfloat16[4] w) => (bfloat16[2, 4] y) {
      [norm] y = LayerNormalization (x, w)
    }"""
    assert "is bf16; the kernel takes f32 f16" in placed(daybreak, parse(layer_norm, 17))["norm"]


SHAPES = """
g (float[n, k] x) => (float[a, b] y) <int64 one = {1}, int64[1] axes = {0}, int64[1] rest = {-1}> {
  [shape] s = Shape (x)
  [pick] t = Gather <axis = 0> (s, one)
  [wide] u = Unsqueeze (t, axes)
  [target] c = Concat <axis = 0> (u, rest)
  [reshape] y = Reshape (x, c)
}"""


def test_shape_computation_stays_on_the_cpu(daybreak: Daybreak) -> None:
    reasons = placed(daybreak, parse(SHAPES))
    assert list(reasons) == ["shape", "pick", "wide", "target", "reshape"]
    assert [node for node, reason in reasons.items() if reason] == ["pick", "wide", "target"]
    assert "only computes with shapes" in reasons["pick"]


def test_without_fallback_everything_is_on_the_device(daybreak: Daybreak) -> None:
    model = parse(SHAPES)
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    session = daybreak.session(model)  # fails when a node is left
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], cpu_session(model).run(None, {"x": x})[0])


@pytest.mark.parametrize(("size", "on_cpu"), [(4, True), (500, False)])
def test_large_integers_are_no_shapes(size: int, on_cpu: bool, daybreak: Daybreak) -> None:
    """What a node on the CPU makes may be data: only few integers count as a shape."""
    text = f"""
    g (float[{size}] x) => (int64[n] y) {{
      [draw] i = Bernoulli <dtype = 7> (x)
      [data] y = Concat <axis = 0> (i, i)
    }}"""
    reasons = placed(daybreak, parse(text))
    assert reasons["draw"] == "no kernel for this operator"
    assert ("only computes with shapes" in reasons["data"]) == on_cpu


def test_nodes_kept_on_the_cpu_by_name(daybreak: Daybreak) -> None:
    text = """
    g (float[2, 3] x) => (float[2, 3] y) {
      [first] a = Transpose (x)
      [second] y = Transpose (a)
    }"""
    model = parse(text)
    options = {"forceCpuNodeNames": "first\nno_such_node"}
    reasons = placed(daybreak, model, options)
    assert reasons == {"first": "forceCpuNodeNames lists it", "second": ""}
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    session = daybreak.session(model, options, fallback=True)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)


def test_explain_file_that_cannot_be_written(daybreak: Daybreak) -> None:
    with pytest.raises(Exception, match="explainFile names '/no/such/folder/x'"):
        daybreak.session(parse(SHAPES), {"explainFile": "/no/such/folder/x"})


def test_rows_fit_the_schemas(library: Path) -> None:
    """A row that constrains a type parameter which its operator does not have is never found by ORT."""
    run = run_python(
        """
        ort.set_default_logger_severity(2)
        ort.register_execution_provider_library("WebGPU", LIBRARY)
        session(chain(1, 8)).run(None, {"x": np.zeros(8, np.float32)})
        """,
        library,
    )
    assert run.returncode == 0, run.stderr
    assert "The row of" not in run.stderr, run.stderr
