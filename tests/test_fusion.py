"""Nodes that Daybreak runs as one: which patterns, when not, and that the results are those of the CPU EP."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers.again import run_tests
from helpers.bound import check_captured
from helpers.fusion_graphs import (
    GRAPHS,
    Form,
    adds_rows,
    computes_scales,
    feeds,
    gated,
    gates_dense_products,
    model,
    norm,
    product,
    qkv,
)
from helpers.run import Daybreak, cpu_session, run_plain, session_options
from helpers.small_models import MS, Builder

DTYPES = {"f32": np.float32, "f16": np.float16}
TOLERANCE = {"f32": 1e-4, "f16": 1e-2}  # of the largest value; f16 keeps what is between the nodes in f16


def fused(daybreak: Daybreak, data: bytes, options: Mapping[str, str] | None = None) -> Counter[str]:
    """Number of fused nodes by operator, and of nodes that stay, after "alone"."""
    lines = daybreak.explain(data, options)
    assert all(line["ep"] == daybreak.ep_name for line in lines), lines
    groups = {(line["fused"], line["group"]) for line in lines if "fused" in line}
    alone = Counter("alone " + line["op"] for line in lines if "fused" not in line)
    return Counter(op for op, _ in groups) + alone


def check(daybreak: Daybreak, build: Any, dtype: str, rows: tuple[int, ...] = (1, 3, 40)) -> None:
    """Fused on the device equals the f32 model on the CPU EP."""
    models = {}
    for name in {dtype, "f32"}:
        b = Builder(DTYPES[name])
        build(b)
        models[name] = model(b)
    on_device, on_cpu = daybreak.session(models[dtype]), cpu_session(models["f32"])
    for m in rows:
        x = feeds(models[dtype], m)
        got = run_plain(on_device, x)
        want = run_plain(on_cpu, {name: value.astype(np.float32) for name, value in x.items()})
        for g, w in zip(got, want, strict=True):
            assert g.shape == w.shape
            error = np.abs(g.astype(np.float64) - w).max() / np.abs(w).max()
            assert error <= TOLERANCE[dtype], f"{m} rows: relative error {error:.3g}"


FORMS = {
    "zeros u8": Form(zeros="u8"),
    "zeros float": Form(zeros="float"),
    "bias": Form(bias="input"),
    "bias Add, zeros float": Form(bias="add", zeros="float"),
    "2 bits": Form(bits=2, zeros="u8"),
    "8 bits, block 64": Form(bits=8, block=64, zeros="u8"),
    "odd": Form(k=93),
    "symmetric": Form(),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_products_of_a_norm(form: Form, dtype: str, daybreak: Daybreak) -> None:
    def build(b: Builder) -> None:
        qkv(b, "skip", form, (64, 40, 40), use_sum=True)

    b = Builder(DTYPES[dtype])
    build(b)
    assert fused(daybreak, model(b)) == {"MatMulNBitsGroup": 1, "alone Neg": 1}
    check(daybreak, build, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_gated_products_of_a_norm(form: Form, dtype: str, daybreak: Daybreak) -> None:
    def build(b: Builder) -> None:
        gated(b, "add", form, use_sum=True)

    b = Builder(DTYPES[dtype])
    build(b)
    assert fused(daybreak, model(b)) == {"MatMulNBitsGated": 1}
    check(daybreak, build, dtype)


@pytest.mark.parametrize("kind", ["plain", "skip", "add"])
@pytest.mark.parametrize("columns", [(40,), (40, 64), (40, 40, 64), (40, 48, 64)], ids=str)
def test_number_of_products(columns: tuple[int, ...], kind: str, daybreak: Daybreak) -> None:
    def build(b: Builder) -> None:
        qkv(b, kind, Form(zeros="u8"), columns, use_sum=False)

    b = Builder(np.float32)
    build(b)
    assert fused(daybreak, model(b)) == {"MatMulNBitsGroup": 1}
    check(daybreak, build, "f32", (1, 9))


@pytest.mark.parametrize("activation", ["Sigmoid", "QuickGelu", "FastGelu", "Gelu"])
def test_activations(activation: str, daybreak: Daybreak) -> None:
    def build(b: Builder) -> None:
        gated(b, "plain", Form(zeros="float"), activation)

    b = Builder(np.float32)
    build(b)
    assert fused(daybreak, model(b)) == {"MatMulNBitsGated": 1}
    check(daybreak, build, "f32", (2, 11))


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.__name__)
def test_what_is_and_is_not_absorbed(graph: Any, daybreak: Daybreak) -> None:
    b = Builder(np.float32)
    want = graph(b)
    assert fused(daybreak, model(b)) == want
    rows = (1,) if graph in (adds_rows, computes_scales) else (1, 3)
    check(daybreak, graph, "f32", rows)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gated_dense_products(dtype: str, daybreak: Daybreak) -> None:
    check(daybreak, gates_dense_products, dtype, (1, 3, 40))


def test_option(daybreak: Daybreak) -> None:
    b = Builder(np.float32)
    qkv(b, "plain", Form(), (40, 40), use_sum=False)
    alone = {"alone MatMulNBits": 2, "alone SimplifiedLayerNormalization": 1}
    assert fused(daybreak, model(b), {"enableFusion": "0"}) == alone


def decoder_half(b: Builder) -> None:
    gated(b, "add", Form(zeros="float"), use_sum=True)


def test_capture(daybreak: Daybreak) -> None:
    b = Builder(np.float32)
    decoder_half(b)
    data = model(b)
    check_captured(daybreak, data, feeds(data, 3), (1, -2, 3))


def test_profile_names_the_fused_node(daybreak: Daybreak, tmp_path: Path) -> None:
    if daybreak.device.ep_metadata["timestamps"] != "1":
        pytest.skip("the device has no timestamps")
    b = Builder(np.float32)
    decoder_half(b)
    so = session_options()
    so.enable_profiling = True
    so.profile_file_prefix = str(tmp_path / "fused")
    session = daybreak.session(model(b), session_options_=so)
    session.run(None, feeds(model(b), 1))
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [e["args"] for e in events if "kernel" in e.get("args", {})]
    assert {(k["node"], k["op_name"]) for k in kernels} == {("gate/MatMulNBits", "MatMulNBitsGated")}


def test_a_scale_of_the_wrong_size(daybreak: Daybreak) -> None:
    b = Builder(np.float32)
    x = b.add_input("x", ["batch", "tokens", 96])
    n = b.node("SimplifiedLayerNormalization", [x, b.weight("w", 64)], "n", epsilon=1e-5)
    b.add_output(product(b, n, 40, "y", Form()), [])
    session = daybreak.session(model(b))
    with pytest.raises(
        Exception, match=r"MatMulNBitsGroup node 'y/MatMulNBits': The norm's scale has shape \[64\]"
    ):
        session.run(None, {"x": np.ones((1, 2, 96), np.float32)})


@pytest.mark.parametrize("flag", [True, False])
def test_subgraphs(flag: bool, daybreak: Daybreak) -> None:
    """Fused inside of a branch, with values of the outer graph; what a branch reads is not absorbed outside."""
    b = Builder(np.float32)
    n, _ = norm(b, "plain", Form())
    b.add_output(product(b, n, 40, "y0", Form()), [])
    outer, b.nodes = b.nodes, []
    skip = ["n_in", "", "", "inner_sum"]
    b.node("SkipSimplifiedLayerNormalization", ["n", "x", "w"], skip, MS, epsilon=1e-5)
    inner = Form(zeros="u8")
    parts = [product(b, "n_in", 40, name, inner) for name in ("q", "k")]
    results = [onnx.helper.make_tensor_value_info(name, b.type, None) for name in [*parts, "inner_sum"]]
    then_branch = onnx.helper.make_graph(b.nodes, "then", [], results)
    b.nodes = []
    for name in ("a", "b"):
        product(b, "n", 40, name, inner)
    b.node("Identity", ["n"], "c")
    results = [onnx.helper.make_tensor_value_info(name, b.type, None) for name in ("a", "b", "c")]
    else_branch = onnx.helper.make_graph(b.nodes, "else", [], results)
    b.nodes = outer
    b.add_input("flag", [], onnx.TensorProto.BOOL)
    outputs = ["p0", "p1", "p2"]
    b.node("If", ["flag"], outputs, then_branch=then_branch, else_branch=else_branch)
    for name in outputs:
        b.add_output(name, [])
    data = b.serialize()
    groups = Counter(
        op for op, _ in {(x["fused"], x["group"]) for x in daybreak.explain(data) if "fused" in x}
    )
    assert groups == {"MatMulNBitsGroup": 2}  # one in each branch, none outside
    x = np.random.default_rng(1).standard_normal((1, 3, 96)).astype(np.float32)
    given = {"x": x, "flag": np.array(flag)}
    session = daybreak.session(data, fallback=True)
    for got, want in zip(session.run(None, given), cpu_session(data).run(None, given), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_level_of_optimisation(daybreak: Daybreak) -> None:
    """Fusions do not depend on ONNX Runtime's, which run later and find nothing of them left."""
    b = Builder(np.float32)
    decoder_half(b)
    data = model(b)
    given = feeds(data, 4)
    levels = ort.GraphOptimizationLevel
    results = [
        daybreak.session(data, level=level).run(None, given)
        for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_BASIC, levels.ORT_ENABLE_ALL)
    ]
    for other in results[1:]:
        for a, c in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, c)


@pytest.mark.skipif("DAYBREAK_VARIANT" in os.environ, reason="this is the process with forced variants")
@pytest.mark.parametrize("kernel", ["nbits_team", "nbits_dot"])
def test_one_dispatch(kernel: str, library: Path) -> None:
    """The same patterns through the kernels that a GPU takes for few rows."""
    cases = "(f16 and zeros and norm) or shares_a_norm or mixes_formats or FastGelu"  # they compile slowly
    variables = {"DAYBREAK_VARIANT": f"{kernel},nbits_few,nbits_fused"}
    run = run_tests("test_fusion.py", library, variables, "-k", cases, timeout=600)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
