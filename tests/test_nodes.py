"""ONNX's own node tests, on the EP alone: whatever it takes, it computes rightly.

One test an operator; the terminal summary counts passes and declines, and lists why operators that the plugin has
kernels for decline a node.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from cases import DTYPES
from helpers.run import SUMMARY, Daybreak, ortvalue, to_numpy

NEWEST = 26  # the newest opset that every supported ONNX Runtime knows as released
# Values of four bits cannot be handed to a session from Python.
TENSORS = {onnx_type for name, (onnx_type, _, _) in DTYPES.items() if name not in ("i4", "u4")}
RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
TAKEN_BY_OTHERS = "another execution provider runs it"
NO_KERNEL = "no kernel for this operator"


@dataclasses.dataclass
class Tally:
    passed: int = 0
    foreign: int = 0  # models that ONNX Runtime itself refuses
    declined: dict[str, list[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))


def operator_of(model: onnx.ModelProto) -> str:
    return str(model.graph.node[0].op_type)


def uses_tensors_only(model: onnx.ModelProto) -> bool:
    values = [*model.graph.input, *model.graph.output]
    return all(v.type.HasField("tensor_type") and v.type.tensor_type.elem_type in TENSORS for v in values)


def released(model: onnx.ModelProto) -> bytes:
    """The model at an opset that ONNX Runtime takes as released, where its operators have not changed since."""
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = min(opset.version, NEWEST)
    model.ir_version = min(model.ir_version, 10)
    return bytes(model.SerializeToString())


@functools.cache
def node_tests() -> dict[str, list[Any]]:
    """Test cases by operator; a function body's ("expanded") case counts for the operator that it expands."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    by_operator: dict[str, list[Any]] = collections.defaultdict(list)
    names: set[str] = set()
    for case in sorted(found, key=lambda c: str(c.name)):
        operator = operator_of(case.model)
        if case.name in names or operator in RANDOM or not uses_tensors_only(case.model):
            continue
        names.add(case.name)
        by_operator[operator].append(case)
    return dict(sorted(by_operator.items()))


def array_of(value: Any) -> np.ndarray:
    """Types that NumPy lacks come as protocol buffers."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def differs(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> str:
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}"
    if want.dtype == np.float16:
        rtol, atol = max(rtol, 4e-3), max(atol, 1e-3)
    elif want.dtype == np.dtype(ml_dtypes.bfloat16):
        rtol, atol = max(rtol, 1.6e-2), max(atol, 8e-3)
    a, b = got.astype(np.float64), want.astype(np.float64)
    if np.allclose(a, b, rtol, atol, equal_nan=True):
        return ""
    return f"differs by up to {np.nanmax(np.abs(a - b)):g}"


def run_case(case: Any, daybreak: Daybreak, tally: Tally) -> str:
    """ "" when the case passes or is declined, else what is wrong."""
    model = released(case.model)
    try:
        session = daybreak.session(model)
    except Exception:
        lines = daybreak.explain(model)
        if not lines:  # ONNX Runtime refuses the model before it asks the EP
            tally.foreign += 1
            return ""
        # ONNX Runtime asks again once the CPU has its nodes; those lines say nothing new.
        left = [line for line in lines if line["reason"] not in ("", TAKEN_BY_OTHERS)]
        reasons = {f"{line['op']}: {line['reason']}" for line in left}
        tally.declined[case.name] = sorted(reasons)
        return "" if reasons else "the session fails although the EP takes every node"
    for inputs, outputs in case.data_sets:
        feeds = zip(session.get_inputs(), inputs, strict=True)
        values = {info.name: ortvalue(array_of(x)) for info, x in feeds}
        got = [to_numpy(v) for v in session.run_with_ort_values(None, values)]
        for index, (g, w) in enumerate(zip(got, outputs, strict=True)):
            wrong = differs(g, array_of(w), case.rtol, case.atol)
            if wrong:
                return f"output {index} {wrong}"
    tally.passed += 1
    return ""


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    counts = Tally()
    yield counts
    lines = [
        f"{counts.passed} pass, {len(counts.declined)} are declined, {counts.foreign} are not for this ORT"
    ]
    reasons = collections.Counter(r for rs in counts.declined.values() for r in rs if NO_KERNEL not in r)
    lines += [f"  {count} x {reason}" for reason, count in reasons.most_common(20)]
    request.config.stash.setdefault(SUMMARY, []).extend(lines)


@pytest.mark.parametrize("operator", node_tests())
def test_operator(operator: str, daybreak: Daybreak, tally: Tally) -> None:
    wrong = []
    for case in node_tests()[operator]:
        try:
            problem = run_case(case, daybreak, tally)
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:300]}"
        if problem:
            wrong.append(f"{case.name}: {problem}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_most_are_taken(tally: Tally) -> None:
    """Guards the test above against a plugin that declines everything."""
    assert tally.passed > 300, f"only {tally.passed} node tests ran on the EP"
