"""Runs cases of the table with an attribute, a dimension or a value changed, on the plugin and on the CPU EP.

usage: fuzz.py LIBRARY FIRST COUNT      prints "START index mutant", then "WRONG text" where the two EPs disagree
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cases import Arg, Case, all_cases

from helpers.run import Daybreak, build_model, check_output, feeds_of, make_inputs, reference, run_plain

SEED = int(os.environ.get("DAYBREAK_TEST_SEED", "0"))
LARGEST = 1 << 16  # elements of one input
INTEGERS = [-3, -2, -1, 0, 1, 2, 3, 5, 7, 64, 65, 1 << 31, -(1 << 31), (1 << 63) - 1]
FLOATS = [0.5, -1.0, 0.01, 3.0]
TEXTS = ["", "none", "Linear", "a string that no operator knows"]

# Attributes that mean yes or no; other values have no meaning that two implementations share.
FLAGS = {
    "keepdims", "is_causal", "unidirectional", "largest", "sorted", "interleaved", "do_rotary", "rotary_interleaved",
    "exclusive", "reverse", "transA", "transB", "fmod", "upper", "select_last_index", "noop_with_empty_axes",
    "smooth_softmax", "saturate", "allowzero",
}  # fmt: skip
CRASHES_ORT = {("GatherND", "batch_dims")}  # shape inference reads out of bounds for negative values
ABORTS_ORT = {"MoE", "QMoE"}  # its CPU kernels end the process on some shapes and attributes: no comparison


def mutate_attribute(case: Case, rng: np.random.Generator) -> bool:
    """Changes one attribute in place; False when there is none to change."""
    names = [n for n, v in case.attrs.items() if isinstance(v, int | float | str | list | tuple)]
    names = [n for n in names if (case.op, n) not in CRASHES_ORT]
    if not names:
        return False
    name = names[rng.integers(len(names))]
    old = case.attrs[name]
    if isinstance(old, float):
        case.attrs[name] = FLOATS[rng.integers(len(FLOATS))]
    elif isinstance(old, str):
        case.attrs[name] = TEXTS[rng.integers(len(TEXTS))]
    elif isinstance(old, list | tuple):
        new = list(old)
        if new and isinstance(new[0], int) and rng.random() < 0.7:
            new[rng.integers(len(new))] = INTEGERS[rng.integers(10)]
        elif new:
            new = new[1:] if rng.random() < 0.5 else [*new, new[-1]]
        case.attrs[name] = new
    elif name in FLAGS:
        case.attrs[name] = int(not old)
    else:
        case.attrs[name] = INTEGERS[rng.integers(len(INTEGERS))]
    return True


def mutate_shape(arg: Arg, rng: np.random.Generator) -> Arg:
    shape = list(arg.shape)
    choice = rng.random()
    if shape and choice < 0.6:
        shape[rng.integers(len(shape))] = int(rng.choice([0, 1, 2, 3, 5, 17]))
    elif choice < 0.8:
        shape.insert(int(rng.integers(len(shape) + 1)), int(rng.choice([1, 2])))
    elif shape:
        del shape[rng.integers(len(shape))]
    return dataclasses.replace(arg, shape=tuple(shape), value=None, dims=None)


def mutate_values(arg: Arg, rng: np.random.Generator) -> Arg:
    values = np.array(arg.value).astype(np.int64).reshape(-1)
    if values.size:
        values[rng.integers(values.size)] = INTEGERS[rng.integers(11)]
    return dataclasses.replace(arg, value=values.reshape(arg.shape))


def is_optional(case: Case, index: int) -> bool:
    """Only inputs that the schema lets out; ORT's own CPU kernels crash without others."""
    if not onnx.defs.has(case.op, case.domain):
        return False
    inputs = onnx.defs.get_schema(case.op, case.opset, case.domain).inputs
    return index < len(inputs) and inputs[index].option == onnx.defs.OpSchema.FormalParameterOption.Optional


def mutant_of(case: Case, rng: np.random.Generator) -> Case | None:
    case = copy.copy(case)
    case.attrs = dict(case.attrs)
    args = list(case.args)
    present = [i for i, a in enumerate(args) if a is not None]
    choice = rng.random()
    if choice < 0.4 or not present:
        if not mutate_attribute(case, rng):
            return None
    else:
        at = present[rng.integers(len(present))]
        arg = args[at]
        assert arg is not None
        integers = arg.value is not None and arg.dtype in ("i64", "i32")
        if choice < 0.5:
            if not is_optional(case, at):
                return None
            args[at] = None
        else:
            args[at] = mutate_values(arg, rng) if integers else mutate_shape(arg, rng)
    if any(a is not None and np.prod(a.shape) > LARGEST for a in args):
        return None
    if case.op.startswith("Skip") and any(a is not None and 0 in a.shape for a in args):
        return None  # the CPU EP divides by the size of `skip`
    case.args = tuple(args)
    case.symbolic = bool(rng.random() < 0.5)
    return case


def disagreement(case: Case, daybreak: Daybreak) -> str:
    """ "" where both EPs agree, or where either refuses."""
    inputs = make_inputs(case)
    try:
        model = build_model(case, inputs)
        want = None if case.op in ABORTS_ORT else reference(case, inputs)
    except Exception:
        want = None
    try:
        session = daybreak.session(model, case.options)
        got = run_plain(session, feeds_of(case, inputs))
    except Exception:
        return ""
    if want is None or len(got) != len(want):
        return ""
    empty = any(x is not None and x.size == 0 for x in inputs)  # the mean of nothing is anything
    if not empty and all(g.size < LARGEST for g in got):
        wrong = [check_output(case, i, g, w) for i, (g, w) in enumerate(zip(got, want, strict=True))]
        return "; ".join(w for w in wrong if w)
    return ""


def describe(case: Case) -> str:
    args = [None if a is None else str(a) for a in case.args]
    return f"{case.op} opset {case.opset} {args} {case.attrs} symbolic={case.symbolic}".replace("\n", " ")


def main(library: str, first: int, count: int) -> None:
    ort.set_default_logger_severity(4)
    ort.register_execution_provider_library("WebGPU", library)
    device = next(
        d for d in ort.get_ep_devices() if d.ep_name not in ("CPUExecutionProvider", "AzureExecutionProvider")
    )
    daybreak = Daybreak(library, device, device.ep_name)
    by_operator: dict[str, list[Case]] = collections.defaultdict(list)
    for case in all_cases():
        small = all(a is None or np.prod(a.shape) <= LARGEST for a in case.args)
        if small and all(case.out) and not (case.declined or case.bind or case.nodes or case.ref):
            by_operator[case.op].append(case)
    names = list(by_operator)
    for index in range(first, first + count):
        rng = np.random.default_rng([SEED, index])
        cases = by_operator[names[index % len(names)]]
        mutant = mutant_of(cases[rng.integers(len(cases))], rng)
        if mutant is None:
            continue
        print("START", index, describe(mutant), flush=True)
        problem = disagreement(mutant, daybreak)
        if problem:
            print("WRONG", problem, flush=True)
    print("END", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
