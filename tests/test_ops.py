"""Every case of the table runs wholly on the EP and equals its oracle."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
import pytest
from cases import Case, all_cases
from helpers.run import (
    Daybreak,
    build_model,
    check_output,
    feeds_of,
    make_inputs,
    poison,
    reference,
    run_bound,
    run_plain,
)

EPFail = ort.capi.onnxruntime_pybind11_state.EPFail
STATE = ort.capi.onnxruntime_pybind11_state
# InvalidGraph: the operator knows no f32, to which ONNX Runtime turns f16 for its CPU EP.
FAILURES = (STATE.Fail, STATE.NotImplemented, STATE.InvalidGraph)


# One of so many cases runs, for devices and implementations that need a sample only.
SAMPLE = int(os.environ.get("DAYBREAK_TEST_SAMPLE", "1"))


@pytest.mark.parametrize(
    "case", [c for c in all_cases() if c.seed % SAMPLE == 0], ids=lambda c: f"{c.family}: {c.id}"
)
def test_op(case: Case, daybreak: Daybreak) -> None:
    inputs = make_inputs(case)
    model = build_model(case, inputs)
    if case.declined:
        with pytest.raises(FAILURES):
            daybreak.session(model, case.options)
        reasons = [line["reason"] for line in daybreak.explain(model, case.options)]
        assert any(case.declined in reason for reason in reasons), reasons
        return
    try:
        want = reference(case, inputs)
    except Exception as error:
        pytest.fail(f"The oracle of this case cannot run (does it need ref=...?): {error}")
    if "DAYBREAK_MAX_BINDING" in os.environ and any(
        "maxStorageBufferBindingSize" in line["reason"] for line in daybreak.explain(model, case.options)
    ):
        pytest.skip("declined: so small segments are too many")
    session = daybreak.session(model, case.options)
    poison(daybreak)

    def run() -> list[np.ndarray]:
        if case.bind:
            return run_bound(daybreak, session, case, inputs, want)
        return run_plain(session, feeds_of(case, inputs))

    try:
        got = run()
    except (EPFail, RuntimeError) as error:
        if "DAYBREAK_MAX_BINDING" in os.environ and "binds more than" in str(error):
            pytest.skip("so small segments are too many for one dispatch")
        raise
    used = [i for i, present in enumerate(case.out) if present]
    if case.judge:
        wrong = [case.judge(inputs, got, **case.attrs)]
    else:
        wrong = [check_output(case, i, g, w) for i, g, w in zip(used, got, want, strict=True)]
    wrong = [w for w in wrong if w]
    if not wrong:  # again, on memory that the first run used: the same bits
        for i, first, second in zip(used, got, run(), strict=True):
            if first.tobytes() != second.tobytes():
                wrong.append(f"output {i}: a second run with the same inputs gives other bits")
    if wrong:
        pytest.fail(
            f"{case.op} opset {case.opset}, {case.id}, seed {case.seed}\n" + "\n".join(wrong), pytrace=False
        )
